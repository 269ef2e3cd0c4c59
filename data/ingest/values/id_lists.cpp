#include "data/ingest/values/id_lists.h"

#include <algorithm>
#include <array>
#include <set>
#include <string_view>

#include "data/ingest/values/parse.h"
#include "data/ingest/values/scanner.h"

namespace cllm {
namespace {

bool is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/// The first and the last character taken off if they are such a pair.
std::string_view without(std::string_view text, std::string_view pairs) {
  for (size_t n = 0; n + 1 < pairs.size(); n += 2) {
    if (text.size() > 1 && text.front() == pairs[n] && text.back() == pairs[n + 1])
      return trimmed(text.substr(1, text.size() - 2));
  }
  return text;
}

/// Blanks separate in any number.
std::vector<std::string_view> cut(std::string_view text, char between) {
  std::vector<std::string_view> ids;
  while (!text.empty()) {
    const auto end = std::ranges::find_if(text, [&](char c) { return between == ' ' ? is_blank(c) : c == between; });
    const auto length = static_cast<size_t>(end - text.begin());
    const std::string_view id = without(trimmed(text.substr(0, length)), "''\"\"");
    if (!id.empty()) ids.push_back(id);
    text.remove_prefix(std::min(text.size(), length + 1));
  }
  return ids;
}

/// v105 -> v9: every number as one 9.
std::string form_of(std::string_view id) {
  std::string form;
  for (const char c : id) {
    if (!is_digit(c)) form += c;
    if (is_digit(c) && !form.ends_with('9')) form += '9';
  }
  return form;
}

/// Codes: 105, v105, B00004YRSC, or single letters.
bool are_of_one_form(const std::vector<std::string_view>& ids) {
  constexpr size_t kLetters = 2, kCode = 8;
  const auto all = [&](auto test) { return std::ranges::all_of(ids, test); };
  const auto has_digit = [](auto id) { return std::ranges::any_of(id, is_digit); };
  if (!all(has_digit)) return all([&](auto id) { return id.size() <= kLetters && !has_digit(id); });
  const bool code = all([&](auto id) {
    return id.size() == ids[0].size() && id.size() >= kCode && id.find_first_of(" .:/") == std::string_view::npos;
  });
  return code || all([&](auto id) { return form_of(id) == form_of(ids[0]); });
}

/// 1,234,567
bool is_one_number(const std::vector<std::string_view>& parts) {
  constexpr size_t kGroup = 3;
  return parts[0].size() <= kGroup && std::all_of(parts.begin(), parts.end(), [&](std::string_view part) {
           return std::ranges::all_of(part, is_digit) && (part.size() == kGroup || part.data() == parts[0].data());
         });
}

/// Cells as lists with one separator.
struct Lists {
  size_t cells = 0, ids = 0, numbers = 0, shortest = SIZE_MAX, longest = 0;
  std::set<std::string_view> distinct;
  std::string example;

  void add(std::string_view cell, const std::vector<std::string_view>& list) {
    if (cells++ == 0) example = cell;
    ids += list.size();
    numbers += is_one_number(list) ? 1 : 0;
    shortest = std::min(shortest, list.size());
    longest = std::max(longest, list.size());
    distinct.insert(list.begin(), list.end());
  }
  bool differ_in_length() const { return longest > shortest && distinct.size() < ids; }
};

}  // namespace

std::optional<IdLists> lists_of_ids(const std::vector<std::string>& cells, const std::vector<std::string>& others) {
  const bool one_row_each = std::set(others.begin(), others.end()).size() == others.size();
  size_t there = 0;
  for (const std::string& cell : cells) there += is_no_value(trimmed(cell)) ? 0 : 1;
  // What follows the first five may be within an id, too.
  constexpr std::string_view kBetween = " ,|;\t_-:/>+#^~";
  constexpr size_t kUsual = 5, kLong = 3;
  for (size_t n = 0; n < kBetween.size(); ++n) {
    Lists lists;
    for (const std::string& cell : cells) {
      const auto list = cut(without(trimmed(cell), "[](){}"), kBetween[n]);
      if (list.size() > 1 && are_of_one_form(list)) lists.add(trimmed(cell), list);
    }
    if (lists.cells < 2 || lists.cells * 2 <= there) continue;
    const bool is_numbers = kBetween[n] == ',' && lists.numbers == lists.cells;
    const bool is_list = n < kUsual ? one_row_each || (lists.differ_in_length() && !is_numbers)
                                    : one_row_each && lists.differ_in_length() && lists.longest >= kLong;
    if (is_list) return IdLists{std::string(1, kBetween[n]), lists.example};
  }
  return {};
}

}  // namespace cllm
