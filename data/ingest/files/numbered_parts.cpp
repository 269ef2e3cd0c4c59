#include <algorithm>
#include <iterator>

#include "data/errors.h"
#include "data/ingest/files/byte_stream.h"
#include "data/ingest/files/input_files.h"
#include "data/ingest/values/scanner.h"

namespace cllm {
namespace {

namespace fs = std::filesystem;

/// * is a number; in part-*.csv it is whatever Spark writes there: 00000-6f1a-c000.
bool matches(std::string_view name, std::string_view pattern) {
  const size_t star = pattern.find('*');
  if (star == std::string_view::npos) return name == pattern;
  if (!name.starts_with(pattern.substr(0, star)) || name.size() == star || !is_digit(name[star])) return false;
  const std::string_view rest = pattern.substr(star + 1);
  if (is_numbered_part(std::string(pattern.substr(0, star)) + "0")) return name.substr(star).ends_with(rest);
  const size_t end = name.find_first_not_of("0123456789", star);
  return matches(name.substr(std::min(end, name.size())), rest);
}

/// All that a pattern names, those that hold nothing too; of another path itself.
std::vector<fs::path> all_parts(const fs::path& path) {
  const std::string pattern = path.filename().string();
  if (pattern.find('*') == std::string::npos || fs::exists(path)) return {path};
  const fs::path archive = zip_of(path);
  std::vector<fs::path> parts;
  const auto add = [&](const fs::path& file) {
    const std::string name = file.filename().string();
    const bool named = matches(name, pattern) || matches(without_packing(name), pattern);
    if (named && file.parent_path() == path.parent_path()) parts.push_back(file);
  };
  if (!archive.empty()) {
    for (const fs::path& file : input_files(archive)) add(file);
  } else {
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator(path.parent_path(), ignored)) {
      if (entry.is_regular_file()) add(entry.path());
    }
  }
  std::sort(parts.begin(), parts.end(), comes_before);
  return parts.empty() ? std::vector{path} : parts;
}

/// As Spark writes parts without rows: no bytes, or those of gzip alone.
bool holds_nothing(const fs::path& file) {
  constexpr uint64_t kMostOfPacking = 512;
  if (input_bytes(file) > kMostOfPacking) return false;
  char byte = 0;
  try {
    return open_bytes(file)->read(&byte, 1) == 0;
  } catch (const DataError&) {
    return false;  // what is wrong will be said when it is read
  }
}

/// Does it hold nothing, while others do?
std::vector<fs::path> parts_that(const fs::path& path, bool hold_nothing) {
  std::vector<fs::path> parts = all_parts(path), empty;
  if (parts.size() > 1) std::ranges::copy_if(parts, std::back_inserter(empty), holds_nothing);
  if (empty.size() == parts.size()) empty.clear();
  if (hold_nothing) return empty;
  std::erase_if(parts, [&](const fs::path& part) { return std::ranges::find(empty, part) != empty.end(); });
  return parts;
}

}  // namespace

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

bool is_numbered_part(const std::string& name) {
  const std::string start = lower_case(name.substr(0, 5));
  return name.size() > 5 && (start == "part-" || start == "part." || start == "part_") && is_digit(name[5]);
}

std::vector<fs::path> input_parts(const fs::path& path) { return parts_that(path, /*hold_nothing=*/false); }

std::vector<fs::path> empty_parts(const fs::path& path) { return parts_that(path, /*hold_nothing=*/true); }

fs::path name_of_parts(const fs::path& path) {
  const std::string name = path.filename().string();
  const std::string extension = name.substr(std::min(name.rfind('.'), name.size()));
  std::string stem;
  for (const char c : name.substr(0, name.size() - extension.size())) {
    if (c == '*') {
      stem.resize(stem.find_last_not_of("._- (") + 1);
    } else {
      stem += c;
    }
  }
  const fs::path folder = path.parent_path().filename();
  return (stem.empty() || lower_case(stem) == "part" ? folder.stem().string() : stem) + extension;
}

}  // namespace cllm
