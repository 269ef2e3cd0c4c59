#include "data/text/id_tokens.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

namespace cllm {
namespace {

/// A piece that is user_<digits> or item_<digits>, or nothing at this place.
struct IdWord {
  bool is_user;
  std::string_view digits;
  size_t length() const { return 5 + digits.size(); }  // "user_" and "item_" have five characters
};

std::optional<IdWord> id_word_at(std::string_view text, size_t start) {
  const std::string_view rest = text.substr(start);
  const bool is_user = rest.starts_with("user_");
  if (!is_user && !rest.starts_with("item_")) return std::nullopt;
  size_t end = 5;
  while (end < rest.size() && rest[end] >= '0' && rest[end] <= '9') ++end;
  if (end == 5) return std::nullopt;
  return IdWord{is_user, rest.substr(5, end - 5)};
}

/// The ID token, if the number is in range and written without leading zeros.
std::optional<int32_t> token_of(const IdWord& word, const Vocabulary& vocabulary) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(word.digits.data(), word.digits.data() + word.digits.size(), number);
  if (error != std::errc() || (word.digits.size() > 1 && word.digits[0] == '0')) return std::nullopt;
  if (number >= (word.is_user ? vocabulary.num_users : vocabulary.num_items)) return std::nullopt;
  return word.is_user ? vocabulary.user_token(number) : vocabulary.item_token(number);
}

constexpr std::array kWideSpaces = {0x85,   0xA0,   0x1680, 0x2000, 0x2001, 0x2002, 0x2003, 0x2004, 0x2005, 0x2006,
                                    0x2007, 0x2008, 0x2009, 0x200A, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000};

std::string utf8(int code) {  // 0x80 .. 0xFFFF
  std::string bytes;
  if (code >= 0x800) bytes += static_cast<char>(0xE0 | (code >> 12));
  bytes += static_cast<char>(code >= 0x800 ? 0x80 | ((code >> 6) & 0x3F) : 0xC0 | (code >> 6));
  return bytes + static_cast<char>(0x80 | (code & 0x3F));
}

/// Bytes of the white-space character at the end of the text, 0 if it ends otherwise.
size_t last_space(std::string_view text) {
  if (text.empty()) return 0;
  const unsigned char last = static_cast<unsigned char>(text.back());
  if (last < 0x80) return last == ' ' || (last >= 0x09 && last <= 0x0D) || (last >= 0x1C && last <= 0x1F) ? 1 : 0;
  static const std::array<std::string, kWideSpaces.size()> kSpaces = [] {
    std::array<std::string, kWideSpaces.size()> spaces;
    std::transform(kWideSpaces.begin(), kWideSpaces.end(), spaces.begin(), utf8);
    return spaces;
  }();
  for (const std::string& space : kSpaces)
    if (text.ends_with(space)) return space.size();
  return 0;
}

}  // namespace

std::string_view strip_right(std::string_view text) {
  while (const size_t length = last_space(text)) text.remove_suffix(length);
  return text;
}

std::vector<int32_t> encode_with_ids(const Tokenizer& tokenizer, const Vocabulary& vocabulary, std::string_view text) {
  std::vector<int32_t> ids;
  size_t words_start = 0;
  const auto add_words = [&](size_t end) {
    tokenizer.encode(strip_right(text.substr(words_start, end - words_start)), ids);
  };
  for (size_t at = text.find('_'); at != std::string_view::npos; at = text.find('_', at)) {
    const std::optional<IdWord> word = at < words_start + 4 ? std::nullopt : id_word_at(text, at - 4);
    if (!word) {
      ++at;
      continue;
    }
    const size_t start = at - 4;
    add_words(start);
    words_start = start + word->length();
    at = words_start;
    if (const std::optional<int32_t> token = token_of(*word, vocabulary)) {
      ids.push_back(*token);
    } else {
      tokenizer.encode(text.substr(start, word->length()), ids);
    }
  }
  add_words(text.size());
  return ids;
}

}  // namespace cllm
