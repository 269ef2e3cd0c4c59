#include "data/ingest/reading/table_reader.h"

#include <algorithm>
#include <utility>

#include "data/errors.h"
#include "data/ingest/reading/sample.h"
#include "data/ingest/reading/sampled_columns.h"
#include "data/ingest/reading/time_columns.h"
#include "data/ingest/values/json_row.h"
#include "data/ingest/values/parse.h"

namespace cllm {
namespace {

using Json = nlohmann::json;

size_t num_required(const TableSpec& spec) {
  return static_cast<size_t>(
      std::count_if(spec.columns.begin(), spec.columns.end(), [](const Column& column) { return column.required; }));
}

std::string joined(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& name : names) out += (out.empty() ? "" : ", ") + name;
  return out;
}

}  // namespace

TableReader::TableReader(const std::filesystem::path& path, TableSpec spec, Intake& intake)
    : spec_(std::move(spec)), intake_(intake), reading_(reading_of(path, intake.reading, intake.log)),
      records_(path, reading_, num_required(spec_)) {
  bool first_time = true;
  origin_.file = intake.log.open(path, &first_time) & 0xFFFF;
  silent_ = !first_time;
  understand();
  if (!silent_) tell_about(path.filename().string());
}

void TableReader::understand() {
  const Sample sample = read_sample(records_.path(), reading_, num_required(spec_));
  if (records_.is_json()) {
    std::vector<std::string> lines;
    for (const auto& row : sample) lines.push_back(row[0]);
    understand_keys(lines);
    return judge_times(sample);
  }
  for (size_t n = 0; !sample.empty() && n < sample[0].size(); ++n) {
    if (!is_utf8(sample[0][n])) {
      throw DataError(records_.path().string() + ":1: not UTF-8: " + cllm::quoted(sample[0][n]) + "; " +
                      suggest_encoding(sample[0][n]));
    }
  }
  placement_ = place_columns(sample, spec_, intake_.columns, records_.path().string(), records_.is_columnar());
  if (sample.empty()) return;
  width_ = sample[0].size();
  skip_first_ = placement_.has_header;
  if (placement_.has_header) header_ = sample[0];
  prefer_filled(sample, spec_.columns, intake_.columns, placement_);
  judge_times(sample);
  if (!spec_.others) {
    for (const OtherColumn& other : placement_.others) placement_.unused.push_back(other.name);
    placement_.others.clear();
  }
  if (records_.is_columnar()) select_columns();
}

void TableReader::judge_times(const Sample& sample) const {
  const bool chosen = intake_.columns.contains("time");
  if (!spec_.by_values || silent_ || chosen || !placement_.has_header || sample.empty()) return;
  const TimeFault fault = fault_of_times(columns_of(sample, records_.is_json()), spec_.columns);
  if (fault.what.empty()) return;
  if (fault.always || intake_.needs_times)
    throw DataError(records_.path().string() + ":1: " + fault.what + (fault.always ? "" : ", else take it out"));
  intake_.log.note(records_.path().filename().string() + ": " + fault.what);
}

void TableReader::select_columns() {
  std::vector<bool> wanted(width_);
  for (const auto& place : placement_.places) {
    if (place) wanted[*place] = true;
  }
  for (const OtherColumn& other : placement_.others) wanted[other.place] = true;
  records_.select(wanted);
  for (size_t n = 0; n < width_; ++n) {
    if (!wanted[n]) header_[n].clear();
  }
}

void TableReader::understand_keys(const std::vector<std::string>& lines) {
  std::vector<std::string> keys;  // in the order of their appearance
  std::unordered_map<std::string, std::vector<std::string>> values;
  for (const std::string& line : lines) {
    const Json row = is_utf8(line) ? parse_json_line(line) : Json();
    if (!row.is_object()) continue;
    for (const auto& [key, value] : row.items()) {
      if (!values.contains(key)) keys.push_back(key);
      std::string text;
      append_json_text(value, text);
      if (value.is_string() || value.is_array()) values[key].push_back(text);
      values[key];
    }
  }
  placement_.has_header = true;
  std::vector<std::string> missing;
  std::vector<bool> claimed(keys.size());
  for (size_t column = 0; column < spec_.columns.size(); ++column) {
    Column& wanted = spec_.columns[column];
    const auto choice = intake_.columns.find(wanted.what);
    if (choice != intake_.columns.end()) {
      if (spec_.by_values) wanted.names.clear();
      wanted.names.insert(wanted.names.begin(), folded(choice->second));
    }
    placement_.places.emplace_back();
    for (size_t n = 0; n < keys.size(); ++n) {
      const auto at = std::find(wanted.names.begin(), wanted.names.end(), folded(keys[n]));
      if (at == wanted.names.end() || claimed[n]) continue;
      claimed[n] = true;
      placement_.places.back() = column;
      keys_[keys[n]] = {column, static_cast<size_t>(at - wanted.names.begin())};
    }
    const bool chosen = choice != intake_.columns.end() && spec_.by_values;
    if (!placement_.places.back() && (wanted.required || chosen))
      missing.push_back(chosen ? choice->second : wanted.what);
  }
  if (!missing.empty() && !keys.empty()) {
    throw DataError(records_.path().string() + ":1: no '" + missing[0] + "' in the object, objects " +
                    missing_column(missing, keys, intake_.columns));
  }
  for (size_t n = 0; n < keys.size(); ++n) {
    if (claimed[n]) continue;
    const auto& texts = values[keys[n]];
    if (spec_.others && looks_like_texts({texts.begin(), texts.end()})) {
      keys_[keys[n]] = {spec_.columns.size() + placement_.others.size(), 0};
      placement_.others.push_back({keys[n], 0});
    } else {
      placement_.unused.push_back(keys[n]);
    }
  }
  values_.resize(spec_.columns.size() + placement_.others.size());
  ranks_.resize(values_.size());
}

void TableReader::tell_about(const std::string& file) const {
  if (records_.unusual_separator() && !records_.is_json())
    intake_.log.note(file + ": fields are separated by '" +
                     (records_.separator() == "\t"  ? "tab"
                      : records_.separator() == " " ? "blanks"
                                                    : records_.separator()) +
                     "'");
  if (records_.lines_above() > 0) {
    intake_.log.note(file + ": not read: " + std::to_string(records_.lines_above()) +
                     " line(s) of comments above the rows");
  }
  if (!placement_.reading.empty()) intake_.log.note(file + " has no header: read as " + placement_.reading);
  if (!placement_.others.empty()) {
    std::vector<std::string> names;
    for (const OtherColumn& other : placement_.others) names.push_back(other.name);
    intake_.log.note(file + ": texts of the kinds " + joined(names) + " (named as their columns)");
  }
  if (!placement_.unused.empty()) intake_.log.note(file + ": not used: " + joined(placement_.unused));
}

bool TableReader::next() {
  constexpr uint64_t kReportEvery = 4096;  // lines
  while (records_.next()) {
    origin_.line = records_.line_number() & 0xFFFFFFFFFFFF;
    if (intake_.on_bytes && origin_.line % kReportEvery == 0)
      intake_.on_bytes(records_.bytes_consumed() - std::exchange(bytes_reported_, records_.bytes_consumed()));
    if (records_.is_blank() && (records_.is_json() || (records_.cells().size() <= 1 && width_ != 1))) continue;
    if (std::exchange(skip_first_, false)) continue;
    if (!silent_) intake_.log.count_row();
    if (parse_record()) return true;
  }
  return false;
}

bool TableReader::parse_record() {
  if (const auto bad = records_.not_utf8()) {
    report(Problem::kUtf8, quoted(*bad));
    if (!silent_) intake_.log.set_hint(suggest_encoding(*bad));
    return false;
  }
  if (records_.is_json()) return parse_json();
  if (records_.broken()) {
    report(Problem::kColumns, "a quote is never closed: " + quoted(records_.line()));
    return false;
  }
  const auto& cells = records_.cells();
  if (cells.size() != width_) {
    report(Problem::kColumns, std::to_string(cells.size()) + " columns instead of " + std::to_string(width_));
    return false;
  }
  if (is_header_again()) {
    report(Problem::kColumns, "the header again");
    return false;
  }
  if (!records_.quoting() && !quote_noted_) {
    for (const std::string_view cell : cells) quote_noted_ = quote_noted_ || cell.starts_with('"');
    if (quote_noted_ && !silent_) {
      intake_.log.note(intake_.log.where(origin_) +
                       ": a field begins with a quote; this file knows no quoting, so quotes are characters");
    }
  }
  return true;
}

bool TableReader::is_header_again() const {
  const auto& cells = records_.cells();
  return header_.size() == cells.size() && std::equal(cells.begin(), cells.end(), header_.begin());
}

/// A key that the sample did not have may still be one of the wanted columns.
TableReader::Key TableReader::key_of(const std::string& name) {
  const auto known = keys_.find(name);
  if (known != keys_.end()) return known->second;
  Key key{SIZE_MAX, SIZE_MAX};
  const std::string folded_name = folded(name);
  for (size_t n = 0; n < spec_.columns.size() && key.value == SIZE_MAX; ++n) {
    const auto& names = spec_.columns[n].names;
    const auto at = std::find(names.begin(), names.end(), folded_name);
    if (at != names.end()) key = {n, static_cast<size_t>(at - names.begin())};
  }
  constexpr size_t kMostKeys = 10000;
  if (keys_.size() < kMostKeys) keys_.emplace(name, key);
  return key;
}

bool TableReader::parse_json() {
  const Json row = parse_json_line(records_.line());
  if (!row.is_object()) {
    report(Problem::kJson,
           quoted(records_.line()) + (origin_.line == 1 && records_.line().starts_with('[')
                                          ? " begins one large array; write one object per line: jq -c '.[]'"
                                          : ""));
    return false;
  }
  for (std::string& value : values_) value.clear();
  std::fill(ranks_.begin(), ranks_.end(), SIZE_MAX);
  for (const auto& [name, value] : row.items()) {
    const Key key = key_of(name);
    if (key.value >= values_.size() || key.rank >= ranks_[key.value]) continue;
    std::string found;
    append_json_text(value, found);
    if (found.empty()) continue;  // null: perhaps another of the names has the value
    values_[key.value] = std::move(found);
    ranks_[key.value] = key.rank;
  }
  for (const std::string& value : values_) {
    if (is_utf8(value)) continue;
    report(Problem::kUtf8, cllm::quoted(value));
    return false;
  }
  for (size_t n = 0; n < spec_.columns.size(); ++n) {
    const bool may_be_empty = !spec_.columns[n].required || spec_.columns[n].what == "text";
    if (may_be_empty || !values_[n].empty()) continue;
    report(Problem::kColumns, "no '" + spec_.columns[n].what + "' in the object");
    return false;
  }
  return true;
}

std::string_view TableReader::field(size_t column) const {
  if (records_.is_json()) return column < values_.size() ? std::string_view(values_[column]) : std::string_view{};
  const auto place = placement_.places[column];
  const auto& cells = records_.cells();
  if (!place || *place >= cells.size()) return {};
  return records_.facts(*place).code.list != 0 ? cells[*place] : trimmed(cells[*place]);
}

CellFacts TableReader::facts(size_t column) const {
  const auto place = records_.is_json() ? std::nullopt : placement_.places[column];
  return place ? records_.facts(*place) : CellFacts{};
}

std::string_view TableReader::other(size_t n) const {
  if (records_.is_json()) return values_[spec_.columns.size() + n];
  const size_t place = placement_.others[n].place;
  return place < records_.cells().size() ? records_.cells()[place] : std::string_view{};
}

void TableReader::report(Problem problem, const std::string& detail) const {
  if (!silent_) intake_.log.add(problem, origin_, detail);
}

}  // namespace cllm
