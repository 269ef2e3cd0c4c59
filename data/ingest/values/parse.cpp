#include "data/ingest/values/parse.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstring>

namespace cllm {
namespace {

/// Length of the well-formed sequence at the start of text, 0 if there is none (Unicode 15, table 3-7).
size_t sequence_length(std::string_view text) {
  const auto byte = [&](size_t n) { return static_cast<unsigned char>(text[n]); };
  const auto tail = [&](size_t n, unsigned low = 0x80, unsigned high = 0xBF) {
    return n < text.size() && byte(n) >= low && byte(n) <= high;
  };
  const unsigned first = byte(0);
  if (first >= 0x01 && first <= 0x7F) return 1;
  if (first >= 0xC2 && first <= 0xDF) return tail(1) ? 2 : 0;
  if (first >= 0xE0 && first <= 0xEF)
    return tail(1, first == 0xE0 ? 0xA0 : 0x80, first == 0xED ? 0x9F : 0xBF) && tail(2) ? 3 : 0;
  if (first >= 0xF0 && first <= 0xF4)
    return tail(1, first == 0xF0 ? 0x90 : 0x80, first == 0xF4 ? 0x8F : 0xBF) && tail(2) && tail(3) ? 4 : 0;
  return 0;
}

/// Of a well-formed character: moves what a terminal shows, or turns its direction (C0, C1, U+2028 to U+202E, U+2066 to
/// U+2069).
bool is_control(std::string_view character) {
  const auto byte = [&](size_t n) { return static_cast<unsigned char>(character[n]); };
  if (character.size() == 1) return byte(0) < 0x20 || byte(0) == 0x7F;
  if (character.size() == 2) return byte(0) == 0xC2 && byte(1) < 0xA0;
  if (character.size() != 3 || byte(0) != 0xE2) return false;
  return (byte(1) == 0x80 && byte(2) >= 0xA8 && byte(2) <= 0xAE) ||
         (byte(1) == 0x81 && byte(2) >= 0xA6 && byte(2) <= 0xA9);
}

template <typename T>
bool parse_all(std::string_view text, T& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    uint64_t word = 0;
    if (text.size() >= 8) {
      std::memcpy(&word, text.data(), 8);
      const bool has_zero = ((word - 0x0101010101010101ULL) & ~word & 0x8080808080808080ULL) != 0;
      if ((word & 0x8080808080808080ULL) == 0 && !has_zero) {  // eight ASCII bytes at once
        text.remove_prefix(8);
        continue;
      }
    }
    const bool is_ascii = static_cast<unsigned char>(text[0] - 1) < 0x7F;
    const size_t length = is_ascii ? 1 : sequence_length(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

std::optional<double> parse_number(std::string_view text) {
  double value = 0;
  if (!parse_all(text, value) || !std::isfinite(value)) return std::nullopt;
  return value;
}

std::string_view trimmed(std::string_view text) {
  const auto is_blank = [](char c) { return c == ' ' || (c >= '\t' && c <= '\r'); };
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

std::string quoted(std::string_view text) {
  constexpr size_t kMax = 40;  // characters
  std::string out = "'";
  for (size_t n = 0; n < kMax && !text.empty(); ++n) {
    const size_t length = sequence_length(text);
    const std::string_view character = text.substr(0, std::max<size_t>(length, 1));
    text.remove_prefix(character.size());
    if (length > 0 && !is_control(character)) {
      out += character;
      continue;
    }
    for (const char c : character) {
      const auto byte = static_cast<unsigned char>(c);
      out += std::string("\\x") + "0123456789ABCDEF"[byte >> 4] + "0123456789ABCDEF"[byte & 15];
    }
  }
  return out + (text.empty() ? "'" : "...'");
}

std::string suggest_encoding(std::string_view text) {
  if (text.find('\0') != std::string_view::npos) return "is it UTF-16? --encoding utf-16 reads it";
  size_t runs = 0, bytes = 0;
  bool before = false;
  for (const char c : text) {
    const bool high = static_cast<unsigned char>(c) >= 0x80;
    runs += high && !before ? 1 : 0;
    bytes += high ? 1 : 0;
    before = high;
  }
  if (bytes < 2 * runs || runs == 0)
    return "is it Latin-1? --encoding windows-1252 (or latin-1; windows-1250 in Central Europe) reads it";
  return "another encoding? --encoding gb18030, big5, shift_jis, euc-kr, windows-1251, of accents windows-1252 or "
         "windows-1250, ... reads it";
}

bool is_no_value(std::string_view text) {
  static constexpr std::array<std::string_view, 19> kNone = {
      "",    "nan", "NaN",  "NAN",  "NaT",  "<NA>", "null",   "NULL",      "Null", "(null)",
      "nil", "N/A", "#N/A", "None", "none", "NA",   "<null>", "undefined", "\\N"};
  constexpr size_t kLongest = 9;
  return text.size() <= kLongest && std::find(kNone.begin(), kNone.end(), text) != kNone.end();
}

std::string without_percents(std::string_view text) {
  std::string out;
  for (size_t n = 0; n < text.size(); ++n) {
    unsigned byte = 0;
    const char* const digits = text.data() + n + 1;
    const bool coded =
        text[n] == '%' && n + 2 < text.size() && std::from_chars(digits, digits + 2, byte, 16).ptr == digits + 2;
    out += coded ? static_cast<char>(byte) : text[n];
    n += coded ? 2 : 0;
  }
  return out;
}

}  // namespace cllm
