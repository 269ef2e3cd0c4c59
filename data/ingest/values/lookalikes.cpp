#include "data/ingest/values/lookalikes.h"

#include <algorithm>
#include <array>
#include <unordered_map>

#include "data/ingest/values/parse.h"
#include "data/ingest/values/scanner.h"

namespace cllm {

namespace {

/// Without blanks that trimmed() knows, and those of Unicode that stand in copies of pages and files.
std::string_view without_blanks(std::string_view id) {
  static constexpr std::array<std::string_view, 3> kBlanks = {"\xC2\xA0", "\xE2\x80\x8B", "\xEF\xBB\xBF"};
  for (size_t before = 0; before != id.size();) {
    before = id.size();
    id = trimmed(id);
    for (const std::string_view blank : kBlanks) {
      if (id.starts_with(blank)) id.remove_prefix(blank.size());
      if (id.ends_with(blank)) id.remove_suffix(blank.size());
    }
  }
  return id;
}

std::string_view bare_form(std::string_view id) {
  id = without_blanks(id);
  if (id.starts_with("=\"")) id.remove_prefix(1);
  while (id.size() > 1 && (id.front() == '"' || id.front() == '\'') && id.back() == id.front())
    id = without_blanks(id.substr(1, id.size() - 2));
  const size_t point = id.find('.');
  if (point != std::string_view::npos && point > 0 && std::all_of(id.begin(), id.begin() + point, is_digit) &&
      id.find_first_not_of('0', point + 1) == std::string_view::npos)
    id = id.substr(0, point);
  if (std::ranges::all_of(id, is_digit))
    while (id.size() > 1 && id.front() == '0') id.remove_prefix(1);
  return id;
}

}  // namespace

std::string bare_id(std::string_view id) {
  std::string out(bare_form(id));
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  return out;
}

std::string describe_twins(const std::string& what, const IdMap& ids) {
  size_t twins = 0;
  std::string example;
  for (size_t n = 0; n < ids.size(); ++n) {
    const std::string_view id = ids.name(static_cast<uint32_t>(n)), bare = bare_form(id);
    if (bare.size() == id.size() || !ids.find(bare)) continue;
    if (twins++ == 0) example = quoted(id) + " and " + quoted(bare);
  }
  if (twins == 0) return "";
  return std::to_string(twins) + " of " + std::to_string(ids.size()) + " " + what +
         " differ from others in their form alone, as " + example +
         ": an id is the same only character by character; bring them to one form if they are the same";
}

bool is_rounded(std::string_view id) {
  id = without_blanks(id);
  const size_t e = id.find_first_of("eE");
  if (e == std::string_view::npos || e == 0 || e + 2 >= id.size() || id[e + 1] != '+' || !is_digit(id[0])) return false;
  const std::string_view digits = id.substr(1, e - 1), power = id.substr(e + 2);
  return digits.find_first_not_of("0123456789.,") == std::string_view::npos &&
         std::ranges::count_if(digits, [](char c) { return !is_digit(c); }) <= 1 &&
         std::ranges::all_of(power, is_digit);
}

std::optional<std::string> mostly_rounded(const std::vector<std::string>& ids) {
  const auto example = std::ranges::find_if(ids, is_rounded);
  if (2 * std::ranges::count_if(ids, is_rounded) <= std::ssize(ids)) return std::nullopt;
  return *example;
}

std::string describe_rounded(const std::string& what, const IdMap& ids) {
  size_t rounded = 0;
  std::string example;
  for (size_t n = 0; n < ids.size(); ++n) {
    const std::string_view id = ids.name(static_cast<uint32_t>(n));
    if (is_rounded(id) && rounded++ == 0) example = quoted(id);
  }
  if (rounded == 0) return "";
  return std::to_string(rounded) + " of " + std::to_string(ids.size()) + " " + what + " have ids as " + example +
         ", which a spreadsheet rounded: different ones may have become one; export the column as text";
}

void Lookalikes::add(std::string_view unknown) {
  constexpr size_t kMost = 1000;
  if (unknown_.size() < kMost && !unknown.empty()) unknown_.emplace(unknown);
}

std::string Lookalikes::describe(const std::string& what, size_t count,
                                 const std::function<std::string_view(size_t)>& known) const {
  if (unknown_.empty()) return "";
  std::unordered_map<std::string, std::string_view> asked;  // bare -> as it is
  for (const std::string& id : unknown_) asked.emplace(bare_id(id), id);
  size_t alike = 0;
  std::string example;
  for (size_t n = 0; n < count && !asked.empty(); ++n) {
    const std::string_view id = known(n);
    const auto found = asked.find(bare_id(id));
    if (found == asked.end() || unknown_.contains(id)) continue;
    if (alike++ == 0) example = quoted(found->second) + " and " + quoted(id);
    asked.erase(found);
  }
  if (alike == 0) return "";
  return std::to_string(alike) + " of " + std::to_string(unknown_.size()) + " " + what +
         " looked at differ from known ones in their form alone, as " + example +
         ": an id is the same only character by character; bring both files to one form";
}

std::string Lookalikes::describe(const std::string& what, const IdMap& ids, size_t count) const {
  return describe(what, count, [&](size_t n) { return ids.name(static_cast<uint32_t>(n)); });
}

}  // namespace cllm
