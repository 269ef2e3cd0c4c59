// Numbered files of one folder that are parts of one table: part-00000.csv and part-00001.csv as part-*.csv.

#include <algorithm>
#include <map>

#include "data/errors.h"
#include "data/ingest/formats/layouts.h"
#include "data/ingest/reading/record_reader.h"
#include "data/ingest/values/parse.h"
#include "data/ingest/values/scanner.h"

namespace cllm {
namespace {

namespace fs = std::filesystem;

/// A name cut where numbers begin and end: text, number, text, ...
std::vector<std::string> pieces_of(const std::string& name) {
  std::vector<std::string> pieces(1);
  bool in_number = false;
  for (const char c : name) {
    if (is_digit(c) != in_number) pieces.emplace_back();
    in_number = is_digit(c);
    pieces.back() += c;
  }
  return pieces;
}

/// ".csv.gz" of part-0.csv.gz.
std::string endings(const fs::path& file) {
  const fs::path bare = bare_name(file);
  return bare.extension().string() + file.filename().string().substr(bare.string().size());
}

/// 10m and 20m, or 5 and 10 alone, are sizes; 0, 1, 2 and 008, 016, 2019 count parts.
bool count_parts(std::vector<std::string> numbers, const std::string& behind) {
  const bool size = !behind.empty() && std::string_view("kKmMbB").find(behind[0]) != std::string_view::npos &&
                    (behind.size() == 1 || !std::isalpha(static_cast<unsigned char>(behind[1])));
  if (size) return false;
  std::ranges::sort(numbers, [](const auto& a, const auto& b) { return comes_before(a, b); });
  for (size_t n = 1; n < numbers.size(); ++n) {
    const auto last = parse_number(numbers[n - 1]), next = parse_number(numbers[n]);
    const bool of_one_width = numbers[n].size() == numbers[n - 1].size() && numbers[n].size() > 1;
    if (!last || !next || (*next - *last != 1 && !of_one_width)) return false;
  }
  return true;
}

/// The name of a group whose names differ in numbers alone, with * for those; empty: they do not count parts.
std::string pattern_of(const std::vector<fs::path>& files) {
  std::vector<std::vector<std::string>> names;
  names.reserve(files.size());
  for (const fs::path& file : files) names.push_back(pieces_of(file.filename().string()));
  std::string pattern;
  size_t differ = 0;
  for (size_t n = 0; n < names[0].size(); ++n) {
    const bool same = std::ranges::all_of(names, [&](const auto& name) { return name[n] == names[0][n]; });
    pattern += same ? names[0][n] : "*";
    differ += same ? 0 : 1;
  }
  for (size_t n = 1; n < names[0].size() && differ == 1; n += 2) {
    std::vector<std::string> numbers;
    numbers.reserve(names.size());
    for (const auto& name : names) numbers.push_back(name[n]);
    if (std::ranges::count(numbers, numbers[0]) == std::ssize(numbers)) continue;
    if (!count_parts(numbers, n + 1 < names[0].size() ? names[0][n + 1] : "")) return "";
  }
  return pattern;
}

std::vector<std::string> first_row(const fs::path& file, const ReadingOptions& reading) {
  RecordReader records(file, reading, 2);
  if (!records.next() || records.is_json()) return {};
  return {records.cells().begin(), records.cells().end()};
}

/// One header above all, or rows of one width.
bool begin_alike(const std::vector<fs::path>& files, const ReadingOptions& reading) {
  const auto names_columns = [](const std::vector<std::string>& row) {
    return std::ranges::any_of(row, [](const std::string& cell) { return is_known_name(folded(cell)); });
  };
  try {
    const auto first = first_row(files[0], reading);
    return std::ranges::all_of(files, [&](const fs::path& file) {
      const auto row = first_row(file, reading);
      return row == first || (row.size() == first.size() && !names_columns(row));
    });
  } catch (const DataError&) {
    return false;  // what is wrong will be said if they are read
  }
}

/// What a file may be a part of: its folder, and its name without numbers.
std::pair<fs::path, std::string> family_of(const fs::path& file) {
  const std::string name = file.filename().string();
  if (is_numbered_part(name)) return {file.parent_path(), name.substr(0, 5) + "*" + endings(file)};
  std::string family;
  const auto pieces = pieces_of(name);
  for (size_t n = 0; n < pieces.size(); ++n) family += n % 2 == 0 ? pieces[n] : "*";
  return {file.parent_path(), family};
}

}  // namespace

InputFolder with_joined_parts(const InputFolder& input, const ReadingOptions& reading) {
  std::map<std::pair<fs::path, std::string>, std::vector<fs::path>> families;
  std::vector<fs::path> files = input.files;
  for (const fs::path& folder : folders_in(input.place)) {  // ratings.csv/part-00000.csv
    if (kind_of_file(folder) == nullptr || is_parquet_folder(folder)) continue;
    for (const fs::path& file : input_files(folder)) files.push_back(file);
  }
  for (const fs::path& file : files) {
    if (kind_of_file(file) != nullptr && !fs::is_directory(file)) families[family_of(file)].push_back(file);
  }
  InputFolder joined = input;
  for (const auto& named : families) {
    const auto& family = named.first;
    const std::vector<fs::path>& parts = named.second;
    const bool spark = is_numbered_part(parts[0].filename().string());
    const bool alone = parts.size() == 1 && !(spark && kind_of_file(family.first) != nullptr);
    if (alone || family.second.find('*') == std::string::npos || are_parts_of_a_split(input.place, parts)) continue;
    const std::string pattern = spark ? family.second : pattern_of(parts);
    if (pattern.empty() || !begin_alike(parts, reading)) continue;
    std::erase_if(joined.files, [&](const fs::path& file) { return std::ranges::find(parts, file) != parts.end(); });
    joined.files.push_back(family.first / pattern);
  }
  std::sort(joined.files.begin(), joined.files.end(), comes_before);
  return joined;
}

}  // namespace cllm
