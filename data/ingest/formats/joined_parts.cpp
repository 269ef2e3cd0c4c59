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
  for (const fs::path& file : files) names.push_back(pieces_of(without_packing(file.filename().string())));
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

enum class Likeness { kAlike, kOtherOrder, kOther };

/// One header above all, or rows of one width; files without a row count as either.
Likeness compare(const std::vector<fs::path>& files, const ReadingOptions& reading) {
  const auto names_columns = [](const std::vector<std::string>& row) {
    return std::ranges::any_of(row, [](const std::string& cell) { return is_known_name(folded(cell)); });
  };
  const auto sorted = [](std::vector<std::string> row) {
    std::ranges::sort(row);
    return row;
  };
  Likeness likeness = Likeness::kAlike;
  try {
    std::vector<std::string> first;
    for (const fs::path& file : files) {
      const auto row = first_row(file, reading);
      if (first.empty()) first = row;
      if (row.empty() || row == first || (row.size() == first.size() && !names_columns(row))) continue;
      if (sorted(row) != sorted(first)) return Likeness::kOther;
      likeness = Likeness::kOtherOrder;
    }
  } catch (const DataError&) {
    return Likeness::kOther;  // what is wrong will be said if they are read
  }
  return likeness;
}

/// A part that is there packed and as it is would count twice.
void refuse_one_part_twice(const std::vector<fs::path>& parts) {
  std::map<std::string, fs::path> names;
  for (const fs::path& part : parts) {
    const auto [at, is_new] = names.emplace(without_packing(part.filename().string()), part);
    if (!is_new)
      throw DataError("both " + at->second.string() + " and " + part.string() + ": one part twice; leave one of them");
  }
}

/// What a file may be a part of: its folder, and its name without numbers.
std::pair<fs::path, std::string> family_of(const fs::path& file) {
  const std::string name = without_packing(file.filename().string());
  if (is_numbered_part(name))
    return {file.parent_path(), name.substr(0, 5) + "*" + bare_name(file).extension().string()};
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
  if (std::ranges::find(input.files, input.place) == input.files.end()) refuse_missing_of_so_many(input.place, files);
  InputFolder joined = input;
  for (const auto& named : families) {
    const auto& family = named.first;
    const std::vector<fs::path>& parts = named.second;
    const bool spark = is_numbered_part(parts[0].filename().string());
    const bool alone = parts.size() == 1 && !(spark && kind_of_file(family.first) != nullptr);
    if (alone || family.second.find('*') == std::string::npos || are_parts_of_a_split(input.place, parts)) continue;
    const std::string pattern = spark ? family.second : pattern_of(parts);
    if (pattern.empty()) continue;
    const Likeness likeness = compare(parts, reading);
    if (likeness == Likeness::kOtherOrder || (likeness == Likeness::kOther && spark)) {
      joined.unlike_parts = list_of_names(parts) + ": parts of one table by their names, but their headers differ" +
                            (likeness == Likeness::kOtherOrder ? " in the order of the columns" : "") +
                            "; write one table, with pandas: pandas.concat(pandas.read_csv(f) for f in FILES)"
                            ".to_csv('interactions.csv', index=False)";
    }
    if (likeness != Likeness::kAlike) continue;
    refuse_one_part_twice(parts);
    std::erase_if(joined.files, [&](const fs::path& file) { return std::ranges::find(parts, file) != parts.end(); });
    joined.files.push_back(family.first / pattern);
  }
  std::sort(joined.files.begin(), joined.files.end(), comes_before);
  return joined;
}

}  // namespace cllm
