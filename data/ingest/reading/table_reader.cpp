#include "data/ingest/reading/table_reader.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "data/errors.h"
#include "data/ingest/reading/parse.h"

namespace cllm {
namespace {

using Json = nlohmann::json;

std::string extension_of(std::filesystem::path path) {
  if (path.extension() == ".gz") path = path.stem();
  return path.extension();
}

/// Appends a string as it is, a number as written, the elements of arrays (of arrays, up to a depth) joined; objects
/// and null: nothing.
void append_text(const Json& value, std::string& out, int depth = 0) {
  constexpr int kMaxDepth = 8;
  if (value.is_array() && depth < kMaxDepth) {
    for (const Json& element : value) append_text(element, out, depth + 1);
    return;
  }
  const std::string text = value.is_string()                         ? value.get<std::string>()
                           : value.is_number() || value.is_boolean() ? value.dump()
                                                                     : "";
  if (!out.empty() && !text.empty()) out += ", ";
  out += text;
}

}  // namespace

TableReader::TableReader(const std::filesystem::path& path, std::vector<Column> columns, Intake& intake)
    : columns_(std::move(columns)), intake_(intake), lines_(path), values_(columns_.size()), place_(columns_.size()) {
  const std::string extension = extension_of(path);
  if (extension == ".tsv" || extension == ".txt") {
    kind_ = Kind::kTsv;
  } else if (extension == ".csv") {
    kind_ = Kind::kCsv;
  } else if (extension == ".jsonl" || extension == ".json") {
    kind_ = Kind::kJson;
  } else {
    throw DataError(path.string() + ": unknown kind of file; expected .tsv, .csv, .jsonl or .json, also with .gz");
  }
  bool first_time = true;
  origin_.file = intake.log.open(path, &first_time) & 0xFFFF;
  silent_ = !first_time;
  if (kind_ != Kind::kJson) read_header();
}

std::optional<size_t> TableReader::column_named(std::string_view name) const {
  for (size_t n = 0; n < columns_.size(); ++n) {
    if (std::find(columns_[n].names.begin(), columns_[n].names.end(), name) != columns_[n].names.end()) return n;
  }
  return std::nullopt;
}

void TableReader::read_header() {
  for (size_t n = 0; n < columns_.size(); ++n) place_[n] = n;
  if (!next_record()) return;
  width_ = cells_.size();
  const auto known = [&](std::string_view cell) { return column_named(cell).has_value(); };
  const auto named = static_cast<size_t>(std::count_if(cells_.begin(), cells_.end(), known));
  const bool all_required = std::all_of(columns_.begin(), columns_.end(), [&](const Column& column) {
    const auto is_name = [&](std::string_view cell) {
      return std::find(column.names.begin(), column.names.end(), cell) != column.names.end();
    };
    return !column.required || std::any_of(cells_.begin(), cells_.end(), is_name);
  });
  if (named > 0 && all_required) {
    use_as_header();
  } else if (std::count_if(columns_.begin(), columns_.end(), [](const Column& c) { return c.required; }) >
                 static_cast<std::ptrdiff_t>(width_) ||
             width_ > columns_.size()) {
    throw DataError(lines_.path().string() + ":1: " + std::to_string(width_) + " columns and no header that names '" +
                    columns_[0].names[0] + "'; see data/README.md for the columns of this file");
  } else {
    pending_ = true;
  }
}

void TableReader::use_as_header() {
  for (size_t n = 0; n < columns_.size(); ++n) {
    place_[n] = std::nullopt;
    for (const std::string& name : columns_[n].names) {
      const auto at = std::find(cells_.begin(), cells_.end(), name);
      if (at == cells_.end()) continue;
      place_[n] = static_cast<size_t>(at - cells_.begin());
      break;
    }
  }
}

bool TableReader::next() {
  while (true) {
    if (!std::exchange(pending_, false) && !next_record()) return false;
    if (line_.empty() && cells_.size() <= 1 && width_ != 1) continue;  // a blank line
    if (!silent_) intake_.log.count_row();
    if (parse_record()) return true;
  }
}

bool TableReader::next_record() {
  if (!lines_.next(line_)) return false;
  origin_.line = lines_.line_number() & 0xFFFFFFFFFFFF;
  if (kind_ == Kind::kTsv) split_tsv();
  if (kind_ == Kind::kCsv) split_csv();
  constexpr uint64_t kReportEvery = 4096;  // lines
  if (intake_.on_bytes && lines_.line_number() % kReportEvery == 0) {
    intake_.on_bytes(lines_.bytes_consumed() - std::exchange(bytes_reported_, lines_.bytes_consumed()));
  }
  return true;
}

bool TableReader::parse_record() {
  if (!is_utf8(line_)) {
    report(Problem::kUtf8, quoted(line_));
    return false;
  }
  if (kind_ == Kind::kJson) return parse_json();
  if (cells_.size() == width_) return true;
  report(Problem::kColumns, std::to_string(cells_.size()) + " columns instead of " + std::to_string(width_));
  return false;
}

bool TableReader::parse_json() {
  Json row = Json::parse(line_, nullptr, false);
  if (row.is_discarded()) row = Json::parse(python_literal_to_json(line_), nullptr, false);
  if (!row.is_object()) {
    report(Problem::kJson, quoted(line_));
    return false;
  }
  for (size_t n = 0; n < columns_.size(); ++n) {
    values_[n].clear();
    for (const std::string& name : columns_[n].names) {
      const auto value = row.find(name);
      if (value == row.end()) continue;
      append_text(*value, values_[n]);
      break;
    }
    if (columns_[n].required && values_[n].empty()) {
      report(Problem::kColumns, "no '" + columns_[n].names[0] + "' in the object");
      return false;
    }
  }
  return true;
}

void TableReader::split_tsv() {
  cells_.clear();
  size_t begin = 0;
  for (size_t tab = line_.find('\t'); tab != std::string_view::npos; tab = line_.find('\t', begin)) {
    cells_.push_back(line_.substr(begin, tab - begin));
    begin = tab + 1;
  }
  cells_.push_back(line_.substr(begin));
}

void TableReader::join_quoted_lines() {
  record_.assign(line_);
  // Quotes come in pairs (an escaped one is two), so an odd number means that the row goes on in the next line.
  auto quotes = std::count(line_.begin(), line_.end(), '"');
  while (quotes % 2 != 0) {
    if (record_.size() > LineReader::kMaxLine || !lines_.next(line_)) {
      throw DataError(lines_.path().string() + ":" + std::to_string(origin_.line) + ": a quote is never closed");
    }
    record_.append("\n").append(line_);
    quotes += std::count(line_.begin(), line_.end(), '"');
  }
  line_ = record_;
}

void TableReader::split_csv() {
  cells_.clear();
  if (line_.find('"') == std::string_view::npos) {
    size_t begin = 0;
    for (size_t comma = line_.find(','); comma != std::string_view::npos; comma = line_.find(',', begin)) {
      cells_.push_back(line_.substr(begin, comma - begin));
      begin = comma + 1;
    }
    cells_.push_back(line_.substr(begin));
    return;
  }
  join_quoted_lines();
  unquoted_.clear();
  unquoted_.reserve(record_.size() + 1);  // the cells view into it: it must not move
  size_t start = 0;
  bool inside = false;
  for (size_t n = 0; n <= record_.size(); ++n) {
    if (n == record_.size() || (record_[n] == ',' && !inside)) {
      cells_.push_back(std::string_view(unquoted_).substr(start));
      start = unquoted_.size();
    } else if (record_[n] != '"') {
      unquoted_ += record_[n];
    } else if (inside && n + 1 < record_.size() && record_[n + 1] == '"') {
      unquoted_ += record_[n++];
    } else {
      inside = !inside;
    }
  }
}

std::string_view TableReader::field(size_t column) const {
  if (kind_ == Kind::kJson) return values_[column];
  const auto place = place_[column];
  return place && *place < cells_.size() ? cells_[*place] : std::string_view{};
}

void TableReader::report(Problem problem, const std::string& detail) const {
  if (!silent_) intake_.log.add(problem, origin_, detail);
}

}  // namespace cllm
