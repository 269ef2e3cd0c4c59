#include "data/text/characters/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <new>

namespace cllm {
namespace {

utf8proc_category_t category_of(int32_t code) { return utf8proc_category(code); }

bool between(utf8proc_category_t category, utf8proc_category_t first, utf8proc_category_t last) {
  return category >= first && category <= last;
}

const utf8proc_uint8_t* bytes_of(std::string_view text) {
  return reinterpret_cast<const utf8proc_uint8_t*>(text.data());
}

struct Free {
  void operator()(utf8proc_uint8_t* bytes) const { std::free(bytes); }
};

constexpr utf8proc_option_t options_of(NormalForm form) {
  switch (form) {
    case NormalForm::kNfc: return static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    case NormalForm::kNfd: return static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE);
    case NormalForm::kNfkc: return static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT);
    case NormalForm::kNfkd: break;
  }
  return static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT);
}

/// `text` is UTF-8.
void append_normal_form(std::string& out, std::string_view text, NormalForm form) {
  if (text.empty()) return;
  utf8proc_uint8_t* mapped = nullptr;
  const utf8proc_ssize_t size =
      utf8proc_map(bytes_of(text), static_cast<utf8proc_ssize_t>(text.size()), &mapped, options_of(form));
  const std::unique_ptr<utf8proc_uint8_t, Free> owner(mapped);
  if (size < 0) throw std::bad_alloc();  // of valid text nothing else can fail
  out.append(reinterpret_cast<const char*>(mapped), static_cast<size_t>(size));
}

}  // namespace

CodePoint code_point_at(std::string_view text, size_t at) {
  const unsigned char first = static_cast<unsigned char>(text[at]);
  if (first < 0x80) return {first, 1};
  utf8proc_int32_t code = -1;
  const utf8proc_ssize_t bytes =
      utf8proc_iterate(bytes_of(text) + at, static_cast<utf8proc_ssize_t>(text.size() - at), &code);
  return bytes > 0 ? CodePoint{code, static_cast<size_t>(bytes)} : CodePoint{-1, 1};
}

CodePoint last_code_point(std::string_view text) {
  for (size_t bytes = 2; bytes <= std::min<size_t>(4, text.size()); ++bytes) {
    const CodePoint point = code_point_at(text, text.size() - bytes);
    if (point.bytes == bytes) return point;
  }
  return code_point_at(text, text.size() - 1);
}

void append_utf8(std::string& out, int32_t code) {
  utf8proc_uint8_t bytes[4];
  const utf8proc_ssize_t size = utf8proc_encode_char(code, bytes);
  out.append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(std::max<utf8proc_ssize_t>(0, size)));
}

void append_lower(std::string& out, int32_t code) {
  constexpr int32_t kCapitalIWithDot = 0x130;
  if (code == kCapitalIWithDot) {  // the only character whose small form is two, whatever surrounds it
    out += "i\xCC\x87";
  } else {
    append_utf8(out, utf8proc_tolower(code));
  }
}

bool is_space(int32_t code) {
  if (code < 0x80) return code == ' ' || (code >= 9 && code <= 13);
  return code == 0x85 || between(category_of(code), UTF8PROC_CATEGORY_ZS, UTF8PROC_CATEGORY_ZP);
}

bool is_number(int32_t code) { return between(category_of(code), UTF8PROC_CATEGORY_ND, UTF8PROC_CATEGORY_NO); }

bool is_punctuation(int32_t code) {
  if (code >= 0 && code < 0x80)
    return (code >= 33 && code <= 47) || (code >= 58 && code <= 64) || (code >= 91 && code <= 96) ||
           (code >= 123 && code <= 126);
  return between(category_of(code), UTF8PROC_CATEGORY_PC, UTF8PROC_CATEGORY_PO);
}

bool is_word_character(int32_t code) {
  const utf8proc_category_t category = category_of(code);
  return between(category, UTF8PROC_CATEGORY_LU, UTF8PROC_CATEGORY_NL) || category == UTF8PROC_CATEGORY_PC;
}

bool is_mark(int32_t code) { return between(category_of(code), UTF8PROC_CATEGORY_MN, UTF8PROC_CATEGORY_ME); }

bool is_nonspacing_mark(int32_t code) { return category_of(code) == UTF8PROC_CATEGORY_MN; }

bool is_other(int32_t code) {
  const utf8proc_category_t category = category_of(code);
  return category == UTF8PROC_CATEGORY_CC || category == UTF8PROC_CATEGORY_CF || category == UTF8PROC_CATEGORY_CO;
}

bool is_chinese(int32_t code) {
  return (code >= 0x4E00 && code <= 0x9FFF) || (code >= 0x3400 && code <= 0x4DBF) ||
         (code >= 0x20000 && code <= 0x2A6DF) || (code >= 0x2A700 && code <= 0x2B73F) ||
         (code >= 0x2B740 && code <= 0x2B81F) || (code >= 0x2B920 && code <= 0x2CEAF) ||
         (code >= 0xF900 && code <= 0xFAFF) || (code >= 0x2F800 && code <= 0x2FA1F);
}

std::string normal_form(std::string_view text, NormalForm form) {
  std::string out;
  out.reserve(text.size());
  if (std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; }))
    return out.assign(text);  // ASCII is in every normal form
  size_t start = 0, at = 0;
  while (at < text.size()) {
    const CodePoint point = code_point_at(text, at);
    if (point.value < 0) {
      append_normal_form(out, text.substr(start, at - start), form);
      out += text[at];
      start = at + 1;
    }
    at += point.bytes;
  }
  append_normal_form(out, text.substr(start), form);
  return out;
}

size_t grapheme_end(std::string_view text, size_t start) {
  utf8proc_int32_t state = 0;
  CodePoint point = code_point_at(text, start);
  size_t end = start + point.bytes;
  while (end < text.size()) {
    const CodePoint next = code_point_at(text, end);
    if (point.value < 0 || next.value < 0 || utf8proc_grapheme_break_stateful(point.value, next.value, &state)) break;
    end += next.bytes;
    point = next;
  }
  return end;
}

}  // namespace cllm
