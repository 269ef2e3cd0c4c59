#include "data/ingest/reading/table_reader.h"

#include <algorithm>
#include <utility>

#include "data/errors.h"
#include "data/ingest/files/input_files.h"
#include "data/ingest/reading/sample.h"
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

bool is_id(const Column& column) { return column.what == "user" || column.what == "item"; }

bool holds_one_value(const Column& column) {
  return is_id(column) || column.what == "time" || column.what == "rating" || column.what == "kind" ||
         column.what == "part";
}

/// Of a first line that is no object.
std::string hint_for_json(std::string_view line) {
  if (line.starts_with('[')) return " begins one large array; write one object per line: jq -c '.[]'";
  return line.starts_with('{') ? " begins an object of several lines; write one object per line: jq -c ." : "";
}

std::string joined(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& name : names) out += (out.empty() ? "" : ", ") + name;
  return out;
}

}  // namespace

TableReader::TableReader(const std::filesystem::path& path, TableSpec spec, Intake& intake)
    : spec_(std::move(spec)), intake_(intake), parts_(input_parts(path)),
      reading_(reading_of(parts_[0], intake.reading, intake.log)), records_(parts_[0], reading_, num_required(spec_)) {
  bool first_time = true;
  origin_.file = intake.log.open(parts_[0], &first_time) & 0xFFFF;
  silent_ = !first_time;
  understand();
  if (parts_.size() > 1) intake.log.note(list_of_names(parts_) + ": read as one table, in this order");
  if (!silent_) tell_about(path.filename().string());
}

void TableReader::understand() {
  const Sample sample = read_sample(records_.path(), reading_, num_required(spec_));
  if (records_.is_json()) {
    const std::vector<SampledColumn> keys = columns_of(sample, /*json=*/true);
    placement_ = keys_.understand(keys, spec_, intake_.columns, records_.path().string());
    values_.resize(spec_.columns.size() + placement_.others.size());
    return judge_times(keys);
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
  first_row_ = sample[0];
  if (placement_.has_header) header_ = sample[0];
  const std::vector<SampledColumn> columns = columns_of(sample, /*json=*/false);
  prefer_filled(columns, spec_.columns, intake_.columns, placement_);
  judge_times(columns);
  if (!spec_.others) {
    for (const OtherColumn& other : placement_.others) placement_.unused.push_back(other.name);
    placement_.others.clear();
  }
  if (records_.is_columnar()) select_columns();
}

void TableReader::judge_times(const std::vector<SampledColumn>& columns) const {
  const std::string file = records_.path().filename().string();
  for (size_t n = 0; n < spec_.columns.size() && !silent_; ++n) {
    if (spec_.columns[n].what != "time" || !placement_.places[n]) continue;
    const auto time = records_.is_json() ? std::ranges::find(columns, keys_.name_of(n), &SampledColumn::name)
                                         : columns.begin() + static_cast<std::ptrdiff_t>(*placement_.places[n]);
    const std::string note = time == columns.end() ? "" : note_on_dates(time->values);
    if (!note.empty()) intake_.log.note(file + ": " + note);
  }
  const bool chosen = intake_.columns.contains("time");
  if (!spec_.by_values || silent_ || chosen || !placement_.has_header || columns.empty()) return;
  const TimeFault fault = fault_of_times(columns, spec_.columns);
  if (fault.what.empty()) return;
  if (fault.always || intake_.needs_times)
    throw DataError(records_.path().string() + ":1: " + fault.what +
                    (fault.always ? "" : ", else --columns time=none"));
  intake_.log.note(file + ": " + fault.what);
}

void TableReader::select_columns() {
  std::vector<ColumnUse> wanted(width_, ColumnUse::kNone);
  for (const OtherColumn& other : placement_.others) wanted[other.place] = ColumnUse::kText;
  for (size_t n = 0; n < spec_.columns.size(); ++n) {
    if (const auto place = placement_.places[n])
      wanted[*place] = holds_one_value(spec_.columns[n]) ? ColumnUse::kValue : ColumnUse::kText;
  }
  records_.select(wanted);
  for (size_t n = 0; n < width_; ++n) {
    if (wanted[n] == ColumnUse::kNone) header_[n].clear();
  }
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
  const Column part = column(Role::kPart);
  for (const std::string& name : placement_.unused) {
    if (std::ranges::find(part.names, folded(name)) == part.names.end()) continue;
    intake_.log.note(file + ": is " + cllm::quoted(name) + " the part (train, validation or test) of each row? " +
                     "--split FILE keeps it; FILE may be this one");
  }
}

bool TableReader::next() {
  constexpr uint64_t kReportEvery = 4096;  // lines
  while (records_.next() || open_next_part()) {
    if (records_.line_number() == 0) continue;  // of a part: nothing is read yet
    origin_.line = records_.line_number() & 0xFFFFFFFFFFFF;
    if (intake_.on_bytes && origin_.line % kReportEvery == 0)
      intake_.on_bytes(records_.bytes_consumed() - std::exchange(bytes_reported_, records_.bytes_consumed()));
    if (records_.is_blank() && (records_.is_json() || (records_.cells().size() <= 1 && width_ != 1))) continue;
    if (std::exchange(skip_first_, false) || (begins_part_ && is_header_of_part())) continue;
    if (!silent_) intake_.log.count_row(origin_);
    if (parse_record()) return true;
  }
  tell_about_late_keys();
  return false;
}

bool TableReader::open_next_part() {
  if (part_ + 1 == parts_.size()) return false;
  const std::filesystem::path& part = parts_[++part_];
  reading_ = reading_of(part, intake_.reading, intake_.log);
  records_ = RecordReader(part, reading_, num_required(spec_));
  origin_.file = intake_.log.open(part) & 0xFFFF;
  bytes_reported_ = 0;
  begins_part_ = !records_.is_json();
  return true;
}

/// Of the first row of a further part.
bool TableReader::is_header_of_part() {
  begins_part_ = false;
  const auto& cells = records_.cells();
  const bool same = std::equal(cells.begin(), cells.end(), first_row_.begin(), first_row_.end());
  if (same && records_.is_columnar()) select_columns();
  if (same) return placement_.has_header;
  const bool names = std::ranges::any_of(cells, [](std::string_view cell) { return is_known_name(folded(cell)); });
  if (names || records_.is_columnar()) {
    throw DataError(records_.path().string() + ":1: another header than that of " + parts_[0].filename().string() +
                    "; give all parts of a table one, or read them by themselves");
  }
  return false;
}

bool TableReader::parse_record() {
  if (const auto bad = records_.not_utf8()) {
    report(Problem::kUtf8, quoted(*bad));
    if (!silent_) intake_.log.add_hint(suggest_encoding(*bad));
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
  return !has_list_for_id();
}

bool TableReader::is_header_again() const {
  const auto& cells = records_.cells();
  return header_.size() == cells.size() && std::equal(cells.begin(), cells.end(), header_.begin());
}

bool TableReader::parse_json() {
  const Json row = parse_json_line(records_.line());
  if (!row.is_object()) {
    report(Problem::kJson,
           quoted(records_.line()) + (origin_.line != 1 ? "" : hint_for_json(trimmed(records_.line()))));
    return false;
  }
  for (std::string& value : values_) value.clear();
  for (const auto& [name, value] : row.items()) {
    JsonKeys::Key* key = keys_.find(name);
    if (key != nullptr && key->place == JsonKeys::kNowhere && key->first_line == 0) continue;
    std::string found;
    append_json_text(value, found);
    if (found.empty()) continue;
    if (key == nullptr) key = keys_.add(name, origin_.line, spec_, placement_);
    if (key == nullptr) continue;
    if (key->place == JsonKeys::kNowhere) {
      ++key->rows_without_use;
      continue;
    }
    if (key->place < spec_.columns.size() && holds_one_value(spec_.columns[key->place]) && holds_several(value)) {
      report_list(key->place, found);
      return false;
    }
    values_[key->place] = std::move(found);
  }
  for (const std::string& value : values_) {
    if (is_utf8(value)) continue;
    report(Problem::kUtf8, cllm::quoted(value));
    return false;
  }
  for (size_t n = 0; n < spec_.columns.size(); ++n) {
    const bool may_be_empty = !spec_.columns[n].required || spec_.columns[n].what == "text";
    if (may_be_empty || !values_[n].empty()) continue;
    const std::string key = keys_.name_of(n);
    report(Problem::kColumns,
           "no '" + spec_.columns[n].what + "' in the object" +
               (key == spec_.columns[n].what ? "" : " (its key in this file: " + cllm::quoted(key) + ")"));
    return false;
  }
  return !has_list_for_id();
}

/// As pandas writes a column of lists into a CSV: ['a', 'b'].
bool TableReader::has_list_for_id() const {
  for (size_t n = 0; n < spec_.columns.size(); ++n) {
    const std::string_view id = is_id(spec_.columns[n]) ? field(n) : std::string_view{};
    if (!id.starts_with('[') || !id.ends_with(']') || !holds_several(parse_json_line(id))) continue;
    report_list(n, id);
    return true;
  }
  return false;
}

void TableReader::report_list(size_t column, std::string_view elements) const {
  report(Problem::kColumns, "a list where one " + spec_.columns[column].what + " is expected: " + quoted(elements));
  const std::string name = name_of(column).empty() ? spec_.columns[column].what : name_of(column);
  if (!silent_) intake_.log.add_hint("a row per element of the lists: pandas' explode(" + cllm::quoted(name) + ")");
}

std::string TableReader::name_of(size_t column) const {
  if (records_.is_json()) return keys_.name_of(column);
  const auto place = placement_.places[column];
  return place && placement_.has_header ? header_[*place] : "";
}

void TableReader::tell_about_late_keys() const {
  const std::string late = keys_.late_keys();
  if (late.empty() || silent_) return;
  intake_.log.note(records_.path().filename().string() + ": not used: " + late + "; the first " +
                   std::to_string(kSampleRows) + " rows, by which a file is understood, have no such key" +
                   (spec_.others ? ": put a row that has it among them, and its texts are read" : ""));
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
