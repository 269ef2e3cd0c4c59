#include "data/text/word_split.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <cstdint>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>

namespace cllm {
namespace {

// White space is spelled out (Unicode White_Space), because PCRE2's \s also has U+180E, which left that property in
// Unicode 6.3.
#define CLLM_SPACE "\\x09-\\x0D\\x20\\x85\\xA0\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{3000}"
constexpr char kWordPattern[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^" CLLM_SPACE
                                "\\p{L}\\p{N}]+|[" CLLM_SPACE "]+(?![^" CLLM_SPACE "])|[" CLLM_SPACE "]+";
#undef CLLM_SPACE

struct FreeCode {
  void operator()(pcre2_code* code) const { pcre2_code_free(code); }
};
struct FreeMatch {
  void operator()(pcre2_match_data* match) const { pcre2_match_data_free(match); }
};
using Code = std::unique_ptr<pcre2_code, FreeCode>;
using Match = std::unique_ptr<pcre2_match_data, FreeMatch>;

Code compile_word_pattern() {
  int error = 0;
  PCRE2_SIZE offset = 0;
  const uint32_t options = PCRE2_UTF | PCRE2_UCP | PCRE2_MATCH_INVALID_UTF | PCRE2_ANCHORED;
  Code code(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(kWordPattern), PCRE2_ZERO_TERMINATED, options, &error, &offset,
                          nullptr));
  if (!code) throw std::logic_error("PCRE2 refuses the word pattern: error " + std::to_string(error));
  pcre2_jit_compile(code.get(), PCRE2_JIT_COMPLETE);  // without JIT pcre2_match interprets: slower, same result
  return code;
}

size_t word_end_by_pattern(std::string_view text, size_t start) {
  static const Code code = compile_word_pattern();
  thread_local const Match match(pcre2_match_data_create(1, nullptr));
  if (!match) throw std::bad_alloc();
  const int found =
      pcre2_match(code.get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), start, 0, match.get(), nullptr);
  if (found == PCRE2_ERROR_NOMATCH) return start + 1;  // not UTF-8
  if (found < 0) throw std::runtime_error("PCRE2 match failed: error " + std::to_string(found));
  return pcre2_get_ovector_pointer(match.get())[1];
}

enum class Class : uint8_t { kSpace, kLetter, kDigit, kOther, kNotAscii };

constexpr Class class_of(char character) {
  const unsigned char c = static_cast<unsigned char>(character);
  if (c >= 0x80) return Class::kNotAscii;
  if (c == ' ' || (c >= 9 && c <= 13)) return Class::kSpace;
  if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return Class::kLetter;
  return c >= '0' && c <= '9' ? Class::kDigit : Class::kOther;
}

size_t contraction_length(std::string_view text) {
  for (const std::string_view ending : {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"})
    if (text.starts_with(ending)) return ending.size();
  return 0;
}

/// The same as the pattern for a word whose characters, and the one after it, are ASCII; 0 if one is not. About 5 times
/// as fast.
size_t ascii_word_end(std::string_view text, size_t start) {
  if (text[start] == '\'') {
    if (const size_t length = contraction_length(text.substr(start))) return start + length;
  }
  const size_t run =
      text[start] == ' ' && start + 1 < text.size() && class_of(text[start + 1]) != Class::kSpace ? start + 1 : start;
  const Class kind = class_of(text[run]);
  if (kind == Class::kNotAscii) return 0;
  size_t end = run + 1;
  while (end < text.size() && class_of(text[end]) == kind) ++end;
  if (end == text.size()) return end;
  if (class_of(text[end]) == Class::kNotAscii) return 0;
  return kind == Class::kSpace && end > start + 1 ? end - 1
                                                  : end;  // the last blank of several belongs to the next word
}

}  // namespace

size_t word_end(std::string_view text, size_t start) {
  const size_t end = ascii_word_end(text, start);
  return end != 0 ? end : word_end_by_pattern(text, start);
}

}  // namespace cllm
