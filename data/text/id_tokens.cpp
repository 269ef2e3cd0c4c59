#include "data/text/id_tokens.h"

#include <charconv>
#include <optional>

#include "data/text/characters/unicode.h"

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

/// White space as Python's str.isspace.
bool is_python_space(int32_t code) { return is_space(code) || (code >= 0x1C && code <= 0x1F); }

}  // namespace

std::string_view strip_right(std::string_view text) {
  while (!text.empty()) {
    const CodePoint last = last_code_point(text);
    if (!is_python_space(last.value)) break;
    text.remove_suffix(last.bytes);
  }
  return text;
}

std::vector<int32_t> encode_with_ids(const Tokenizer& tokenizer, const Vocabulary& vocabulary, std::string_view text) {
  std::vector<int32_t> ids;
  size_t words_start = 0;
  const auto add_words = [&](size_t end) {
    tokenizer.encode(strip_right(text.substr(words_start, end - words_start)), ids, {.behind_id = words_start > 0});
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
      tokenizer.encode(text.substr(start, word->length()), ids, {.behind_id = start > 0});
    }
  }
  add_words(text.size());
  return ids;
}

}  // namespace cllm
