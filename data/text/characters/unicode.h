#pragma once

// Code points, their categories and normal forms, by utf8proc's tables.

#include <cstdint>
#include <string>
#include <string_view>

namespace cllm {

/// The character at a place of a text. `value` is -1 if the byte there starts no UTF-8; `bytes` is then 1.
struct CodePoint {
  int32_t value;
  size_t bytes;
};
CodePoint code_point_at(std::string_view text, size_t at);
/// The last character of a text that is not empty.
CodePoint last_code_point(std::string_view text);

void append_utf8(std::string& out, int32_t code);
/// In small letters, which may be two characters (U+0130); no rule looks at neighbours.
void append_lower(std::string& out, int32_t code);

bool is_space(int32_t code);            // Unicode's White_Space
bool is_number(int32_t code);           // Nd, Nl, No
bool is_punctuation(int32_t code);      // ASCII's that are no letter or digit, and P*
bool is_word_character(int32_t code);   // letters, marks, digits, connectors
bool is_mark(int32_t code);             // Mn, Mc, Me
bool is_nonspacing_mark(int32_t code);  // Mn
bool is_other(int32_t code);            // Cc, Cf, Co
bool is_chinese(int32_t code);          // the blocks of BERT's tokenizer

enum class NormalForm { kNfc, kNfd, kNfkc, kNfkd };
/// Bytes that are not UTF-8 stay where they are.
std::string normal_form(std::string_view text, NormalForm form);

/// End of the extended grapheme cluster at `start` < text.size().
size_t grapheme_end(std::string_view text, size_t start);

/// Calls use(code, bytes) for each character; a byte that is not UTF-8 has the code -1.
template <typename Use>
void for_each_code_point(std::string_view text, Use&& use) {
  for (size_t at = 0; at < text.size();) {
    const CodePoint point = code_point_at(text, at);
    use(point.value, text.substr(at, point.bytes));
    at += point.bytes;
  }
}

}  // namespace cllm
