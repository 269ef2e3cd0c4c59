#include "data/ingest/reading/table_reader.h"

#include <algorithm>
#include <utility>

#include "data/errors.h"
#include "data/ingest/files/input_files.h"
#include "data/ingest/reading/sample.h"
#include "data/ingest/values/json_row.h"
#include "data/ingest/values/parse.h"

namespace cllm {
namespace {

using Json = nlohmann::json;

/// Of a first line that is no object.
std::string hint_for_json(std::string_view line) {
  const bool closed = line.ends_with('}') || line.ends_with("},");
  if (const Json row = line.starts_with('[') ? parse_json_line(line) : Json();
      holds_several(row) && !row[0].is_object())
    return " is an array; name its values: jq -c '{user: .[0], item: .[1]}'";
  if (line.starts_with('[')) return " begins one large array; write one object per line: jq -c '.[]'";
  if (line.starts_with('{') && line.ends_with("},")) return " ends with a comma; take it off: sed 's/,$//'";
  return line.starts_with('{') && !closed ? " begins an object of several lines; write one object per line: jq -c ."
                                          : "";
}

/// "'items'", or "['items', 'times']" where lists of other keys are as long.
std::string lists_beside(const Json& row, const std::string& key) {
  std::string names;
  size_t count = 0;
  for (const auto& [name, value] : row.items()) {
    if (!value.is_array() || value.size() != row[key].size()) continue;
    names += (count++ > 0 ? ", " : "") + cllm::quoted(name);
  }
  return count > 1 ? "[" + names + "]" : names;
}

}  // namespace

TableReader::TableReader(const std::filesystem::path& path, TableSpec spec, Intake& intake)
    : spec_(std::move(spec)), intake_(intake), parts_(input_parts(path)),
      reading_(reading_of(parts_[0], intake.reading, intake.log)), records_(parts_[0], reading_, spec_.num_required()) {
  bool first_time = true;
  origin_.file = intake.log.open(parts_[0], &first_time) & 0xFFFF;
  silent_ = !first_time;
  understand();
  if (!silent_) tell_about_parts(path);
  if (!silent_) tell_about(path.filename().string());
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
    if (!parse_record()) continue;
    watch_late_columns();
    return true;
  }
  tell_about_late_keys();
  return false;
}

bool TableReader::open_next_part() {
  if (part_ + 1 == parts_.size()) return false;
  const std::filesystem::path& part = parts_[++part_];
  reading_ = reading_of(part, intake_.reading, intake_.log);
  records_ = RecordReader(part, reading_, spec_.num_required());
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
    if (cells.size() == width_ + 1 && !header_.empty() && !silent_)
      intake_.log.add_hint("names of rows without a name of their own? In R: write.table(..., row.names = FALSE)");
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

void TableReader::watch_late_columns() {
  const auto& cells = records_.cells();
  for (LateColumn& column : late_) {
    if (column.place >= cells.size() || cells[column.place].empty()) continue;
    const std::string_view value = cells[column.place];
    if (column.see(value, reads_as_text(value), origin_.line)) placement_.others.push_back({column.name, column.place});
  }
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
    const bool unused = key != nullptr && key->place == JsonKeys::kNowhere && key->first_line == 0;
    if (unused && key->late == JsonKeys::kNowhere) continue;
    std::string found;
    append_json_text(value, found);
    if (found.empty()) continue;
    if (key == nullptr) key = keys_.add(name, found, origin_.line, spec_, placement_);
    if (key == nullptr) continue;
    keys_.watch(*key, found, origin_.line);
    if (unused) continue;
    values_.resize(spec_.columns.size() + placement_.others.size());
    if (key->place == JsonKeys::kNowhere) {
      ++key->rows_without_use;
      continue;
    }
    if (key->place < spec_.columns.size() && spec_.columns[key->place].holds_one_value() && holds_several(value)) {
      report_list(key->place, found, "t.explode(" + lists_beside(row, name) + ")");
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
    const std::string_view id = spec_.columns[n].is_id() ? field(n) : std::string_view{};
    if (!id.starts_with('[') || !id.ends_with(']') || !holds_several(parse_json_line(id))) continue;
    const std::string name = cllm::quoted(name_of(n).empty() ? spec_.columns[n].what : name_of(n));
    const std::string literal = "t[" + name + "].map(ast.literal_eval)", exploded = "t.explode(" + name + ")";
    std::string remedy = "t[" + name + "] = ";
    report_list(n, id, remedy.append(literal).append("; ").append(exploded));
    return true;
  }
  return false;
}

void TableReader::report_list(size_t column, std::string_view elements, const std::string& remedy) const {
  report(Problem::kColumns, "a list where one " + spec_.columns[column].what + " is expected: " + quoted(elements));
  if (!silent_) intake_.log.add_hint("a row per element of the lists, with pandas: " + remedy);
}

std::string TableReader::name_of(size_t column) const {
  if (records_.is_json()) return keys_.name_of(column);
  const auto place = placement_.places[column];
  return place && placement_.has_header ? header_[*place] : "";
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
