#include "data/ingest/reading/sample.h"

#include <algorithm>
#include <optional>

#include "data/ingest/files/input_files.h"
#include "data/ingest/values/column_values.h"
#include "data/ingest/values/json_row.h"
#include "data/ingest/values/parse.h"

namespace cllm {
namespace {

/// Files of one folder may differ: what is UTF-8 as it is, and not only ASCII, is not recoded.
bool is_utf8_already(const std::filesystem::path& path) {
  LineReader lines(path);
  std::string_view line;
  bool beyond_ascii = false;
  for (size_t rows = 0; rows < kSampleRows && lines.next(line); ++rows) {
    if (!is_utf8(line)) return false;
    beyond_ascii = beyond_ascii || std::any_of(line.begin(), line.end(), [](char c) { return (c & 0x80) != 0; });
  }
  return beyond_ascii;
}

using Json = nlohmann::json;

std::vector<SampledColumn> columns_of_objects(const Sample& sample) {
  std::vector<SampledColumn> columns;
  for (const auto& line : sample) {
    const Json row = is_utf8(line[0]) ? parse_json_line(line[0]) : Json();
    if (!row.is_object()) continue;
    for (const auto& [key, value] : row.items()) {
      const std::string& name = key;
      auto at = std::find_if(columns.begin(), columns.end(), [&](const auto& column) { return column.name == name; });
      if (at == columns.end()) at = columns.insert(at, {name, {}});
      append_json_text(value, at->values.emplace_back());
    }
  }
  return columns;
}

/// The first of the names that has values, and is not taken.
std::optional<size_t> filled(const std::vector<SampledColumn>& columns, const std::vector<std::string>& names,
                             const std::vector<bool>& taken) {
  for (const std::string& name : names) {
    for (size_t n = 0; n < columns.size(); ++n) {
      if (!taken[n] && folded(columns[n].name) == name && !all_empty(columns[n].values)) return n;
    }
  }
  return {};
}

}  // namespace

ReadingOptions reading_of(const std::filesystem::path& path, const ReadingOptions& wanted, ProblemLog& log) {
  ReadingOptions reading = wanted;
  const FileKind* const kind = kind_of_file(path);
  if (reading.encoding.empty() || kind == nullptr || kind->columnar || !is_utf8_already(path)) return reading;
  log.note(path.filename().string() + ": is UTF-8, and read as such, not as " + reading.encoding);
  reading.encoding.clear();
  return reading;
}

Sample read_sample(const std::filesystem::path& path, const ReadingOptions& options, size_t min_columns) {
  RecordReader records(input_parts(path)[0], options, min_columns);
  constexpr size_t kMaxBytes = size_t{8} << 20;
  Sample sample;
  for (size_t bytes = 0; sample.size() < kSampleRows && bytes < kMaxBytes && records.next();) {
    if (records.is_blank() || records.broken()) continue;
    bytes += records.row_bytes();
    if (records.is_json()) {
      sample.push_back({std::string(records.line())});
    } else {
      sample.emplace_back(records.cells().begin(), records.cells().end());
    }
  }
  return sample;
}

std::vector<std::string> names_in(const std::filesystem::path& path, const ReadingOptions& options) {
  const FileKind* const kind = kind_of_file(path);
  const bool json = kind != nullptr && kind->separator.empty();
  const Sample sample = read_sample(path, options, 2);
  std::vector<std::string> names;
  if (sample.empty()) return names;
  for (const SampledColumn& column : columns_of(sample, json)) names.push_back(column.name);
  return names;
}

bool all_empty(const std::vector<std::string>& values) {
  return std::all_of(values.begin(), values.end(), [](const auto& value) { return is_no_value(trimmed(value)); });
}

std::vector<SampledColumn> columns_of(const Sample& sample, bool json) {
  if (json) return columns_of_objects(sample);
  std::vector<SampledColumn> columns;
  for (size_t n = 0; n < sample[0].size(); ++n) {
    columns.push_back({std::string(plain_name(sample[0][n])), {}});
    for (size_t row = 1; row < sample.size(); ++row) {
      if (n < sample[row].size()) columns.back().values.push_back(sample[row][n]);
    }
  }
  return columns;
}

std::vector<std::string> ids_of(const Sample& sample, const Placement& placement, size_t column) {
  std::vector<std::string> ids;
  const auto place = placement.places[column];
  for (size_t row = placement.has_header ? 1 : 0; place && row < sample.size(); ++row) {
    if (sample[row].size() == sample[0].size()) ids.push_back(sample[row][*place]);
  }
  return ids;
}

std::vector<std::string> ids_of(const Sample& objects, const std::string& key) {
  std::vector<std::string> ids;
  for (const auto& line : objects) {
    const Json row = is_utf8(line[0]) ? parse_json_line(line[0]) : Json();
    if (!row.is_object() || !row.contains(key)) continue;
    const Json& id = row[key];
    ids.push_back(id.is_string() ? id.get<std::string>() : id.is_number() ? id.dump() : "");
  }
  return ids;
}

bool has_numbered_columns(const Sample& sample) {
  if (sample.size() < 2) return false;
  const size_t first = sample[0][0].empty() ? 1 : 0;  // the index has no name
  for (size_t n = first; n < sample[0].size(); ++n) {
    if (sample[0][n] != std::to_string(n - first)) return false;
  }
  const auto tells = [&](size_t column) {
    return std::all_of(sample.begin() + 1, sample.end(), [&](const auto& row) {
      return column < row.size() && (is_time(trimmed(row[column])) || !parse_number(trimmed(row[column])));
    });
  };
  for (size_t n = first; n < sample[0].size(); ++n) {
    if (tells(n)) return true;
  }
  return false;
}

void prefer_filled(const std::vector<SampledColumn>& columns, const std::vector<Column>& wanted,
                   const ColumnChoices& choices, Placement& placement) {
  if (!placement.has_header || columns.empty() || columns[0].values.empty()) return;
  std::vector<bool> taken(columns.size());
  for (const auto& place : placement.places) {
    if (place) taken[*place] = true;
  }
  for (size_t n = 0; n < wanted.size(); ++n) {
    auto& place = placement.places[n];
    if (!place || choices.contains(wanted[n].what) || !all_empty(columns[*place].values)) continue;
    const auto other = filled(columns, wanted[n].names, taken);
    if (!other) continue;
    std::erase(placement.unused, columns[*other].name);
    std::erase_if(placement.others, [&](const OtherColumn& one) { return one.place == *other; });
    placement.unused.push_back(columns[*place].name + " (empty)");
    taken[*other] = true;
    place = *other;
  }
}

}  // namespace cllm
