// Which files are the parts of one split, by the words of their names.

#include <algorithm>
#include <map>
#include <set>

#include "data/errors.h"
#include "data/ingest/formats/layouts.h"
#include "data/ingest/reading/record_reader.h"
#include "data/ingest/values/scanner.h"

namespace cllm {
namespace {

namespace fs = std::filesystem;

bool is_capital(char c) { return c >= 'A' && c <= 'Z'; }
bool is_of_a_word(char c) { return is_letter(c) || (c & 0x80) != 0; }

/// The words and numbers of a name: train, ratings and 2 of trainRatings-2.
std::vector<std::string> words_of(const std::string& name) {
  std::vector<std::string> words;
  char last = ' ';
  for (const char c : name) {
    const bool goes_on = is_digit(c) ? is_digit(last) : is_of_a_word(last) && (is_capital(last) || !is_capital(c));
    if (!goes_on && (is_digit(c) || is_of_a_word(c))) words.emplace_back();
    if (is_digit(c) || is_of_a_word(c)) words.back() += c;
    last = c;
  }
  for (std::string& word : words) word = lower_case(word);
  return words;
}

/// What names of files say, too; which of the held-out parts some of them mean does not matter there.
std::string part_of_word(std::string word) {
  static const std::map<std::string, std::string, std::less<>> kParts = {
      {"trn", "train"}, {"tra", "train"},       {"vad", "validation"}, {"testing", "test"}, {"tst", "test"},
      {"eval", "test"}, {"evaluation", "test"}, {"holdout", "test"},   {"heldout", "test"}};
  for (const std::string_view behind : {"set", "data"}) {
    if (word.size() > behind.size() && word.ends_with(behind)) word.resize(word.size() - behind.size());
  }
  const auto part = kParts.find(word);
  return part == kParts.end() ? part_called(word) : part->second;
}

/// The part that a name says, below the folder that was named; empty: none. Of a fold its number.
std::string part_of(const fs::path& file, const fs::path& place) {
  const fs::path below = file == place ? file.filename() : file.lexically_relative(place);
  const fs::path name = bare_name(file);
  if (kind_of_file(file) == nullptr && lower_case(name.extension().string()) == ".base") return "train";
  const bool known = kind_of_file(file) != nullptr;
  const auto words = words_of((below.parent_path() / (known ? name.stem() : name)).string());
  for (size_t n = 0; n < words.size(); ++n) {
    if (std::string part = part_of_word(words[n]); !part.empty()) return part;
    const bool fold = words[n] == "fold" || words[n] == "kfold" || words[n] == "cv";
    if (fold && n + 1 < words.size() && is_digit(words[n + 1][0])) return "fold " + words[n + 1];
  }
  return "";
}

std::string what_to_do(const std::vector<fs::path>& files) {
  return list_of_names(files) +
         ": parts of a split, which would be split anew; write all rows into one file for --input, with a column "
         "'part' (train, validation or test), and give it as --split FILE, too";
}

}  // namespace

std::string part_called(const std::string& word) {
  static const std::map<std::string, std::string, std::less<>> kParts = {
      {"train", "train"},    {"training", "train"}, {"valid", "validation"}, {"validation", "validation"},
      {"val", "validation"}, {"dev", "validation"}, {"test", "test"}};
  const auto part = kParts.find(lower_case(word));
  return part == kParts.end() ? "" : part->second;
}

std::string parts_of_a_split(const InputFolder& input) {
  std::set<std::string> parts;
  std::vector<fs::path> named;
  for (const fs::path& file : input.files) {
    const std::string part = part_of(file, input.place);
    if (part.empty()) continue;
    parts.insert(part);
    named.push_back(file);
  }
  return parts.size() < 2 ? "" : what_to_do(named);
}

bool are_parts_of_a_split(const fs::path& place, const std::vector<fs::path>& files) {
  std::set<std::string> parts;
  for (const fs::path& file : files) parts.insert(part_of(file, place));
  return parts.size() > 1;
}

void refuse_parts_of_a_split(const fs::path& place, const std::vector<fs::path>& files) {
  if (are_parts_of_a_split(place, files)) throw DataError(place.string() + ": " + what_to_do(files));
}

}  // namespace cllm
