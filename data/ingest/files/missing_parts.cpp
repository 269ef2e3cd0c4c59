// Numbered files of which some are not there.

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>

#include "data/errors.h"
#include "data/ingest/files/input_files.h"

namespace cllm {
namespace {

namespace fs = std::filesystem;

using Numbers = std::map<uint64_t, fs::path>;

std::optional<uint64_t> whole(const std::string& digits) {
  constexpr size_t kLongest = 9;
  uint64_t number = 0;
  if (digits.size() > kLongest) return {};
  const auto end = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  return end.ec == std::errc() ? std::optional(number) : std::nullopt;
}

/// The name with another number in this piece, as wide.
std::string with_number(const fs::path& file, size_t piece, uint64_t number) {
  auto pieces = pieces_of(file.filename().string());
  std::string digits = std::to_string(number);
  digits.insert(0, pieces[piece].size() - std::min(pieces[piece].size(), digits.size()), '0');
  pieces[piece] = digits;
  std::string name;
  for (const std::string& one : pieces) name += one;
  return name;
}

/// Of `count` numbers from `first` those that are not there, as names.
std::string names_without(const Numbers& there, size_t piece, uint64_t first, uint64_t count) {
  constexpr size_t kMost = 3;
  std::string names;
  size_t missing = 0;
  for (uint64_t number = first; number < first + count; ++number) {
    if (there.contains(number) || ++missing > kMost) continue;
    names += (missing > 1 ? ", " : "") + with_number(there.begin()->second, piece, number);
  }
  if (missing > kMost) names += " and " + std::to_string(missing - kMost) + " more";
  return missing == 0 ? "" : names + (missing > 1 ? " are not there" : " is not there");
}

/// The piece of a name that is 00001 of train-00001-of-00003.parquet; nothing: none.
std::optional<size_t> piece_of_so_many(const std::vector<std::string>& pieces) {
  for (size_t n = 1; n + 2 < pieces.size(); n += 2) {
    if (pieces[n + 1] == "-of-" || pieces[n + 1] == "_of_") return n;
  }
  return {};
}

/// The piece in which the names of parts differ, or that counts Spark's parts; nothing: none, or several.
std::optional<size_t> piece_that_counts(const std::vector<fs::path>& parts) {
  if (is_numbered_part(parts[0].filename().string())) return 1;
  const auto first = pieces_of(bare_name(parts[0]).string());
  std::optional<size_t> found;
  for (const fs::path& part : parts) {
    const auto pieces = pieces_of(bare_name(part).string());
    if (pieces.size() != first.size()) return {};
    for (size_t n = 1; n < pieces.size(); n += 2) {
      if (pieces[n] == first[n]) continue;
      if (found && *found != n) return {};
      found = n;
    }
  }
  return found;
}

}  // namespace

std::string missing_of_so_many(const std::vector<fs::path>& files) {
  std::map<std::pair<fs::path, std::string>, std::pair<size_t, Numbers>> tables;  // with the piece that counts
  for (const fs::path& file : files) {
    const auto pieces = pieces_of(file.filename().string());
    const auto piece = piece_of_so_many(pieces);
    const auto number = piece ? whole(pieces[*piece]) : std::nullopt;
    if (!number) continue;
    std::string name;
    for (size_t n = 0; n < *piece; ++n) name += pieces[n];
    auto& [at, numbers] = tables[{file.parent_path(), name + " of " + pieces[*piece + 2]}];
    at = *piece;
    numbers.emplace(*number, file);
  }
  for (const auto& [table, parts] : tables) {
    const auto& [piece, numbers] = parts;
    const auto of = whole(pieces_of(numbers.begin()->second.filename().string())[piece + 2]);
    if (!of || numbers.size() >= *of) continue;
    std::string share = std::to_string(numbers.size()) + " of " + std::to_string(*of) + " parts of a table";
    if (!numbers.contains(0) && !numbers.contains(*of)) return share;  // do they count from 0 or from 1?
    return share + ": " + names_without(numbers, piece, numbers.contains(0) ? 0 : 1, *of);
  }
  return "";
}

void refuse_missing_of_so_many(const fs::path& place, const std::vector<fs::path>& files) {
  const std::string missing = missing_of_so_many(files);
  if (missing.empty()) return;
  throw DataError(place.string() + ": " + missing + "; download the whole table, or name one file: --input FILE");
}

std::string gap_in_parts(const std::vector<fs::path>& parts) {
  const fs::path folder = parts[0].parent_path();
  const bool together = std::ranges::all_of(parts, [&](const fs::path& part) { return part.parent_path() == folder; });
  if (!together || folder.filename().string().find('=') != std::string::npos) return "";
  const auto piece = piece_that_counts(parts);
  if (!piece) return "";
  Numbers numbers;
  for (const fs::path& part : parts) {
    const auto number = whole(pieces_of(part.filename().string())[*piece]);
    if (!number) return "";
    numbers.emplace(*number, part);
  }
  const auto& [lowest, first] = *numbers.begin();
  const bool by_spark = is_numbered_part(first.filename().string()) &&
                        pieces_of(first.filename().string())[1].size() == std::string_view("00000").size();
  const uint64_t begin = lowest == 1 && by_spark ? 0 : lowest, count = numbers.rbegin()->first + 1 - begin;
  // Days and years have larger gaps than there are files.
  return count > 2 * numbers.size() ? "" : names_without(numbers, *piece, begin, count);
}

}  // namespace cllm
