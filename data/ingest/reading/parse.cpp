#include "data/ingest/reading/parse.h"

#include <charconv>
#include <chrono>
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

template <typename T>
bool parse_all(std::string_view text, T& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

std::optional<int64_t> parse_date(std::string_view text) {
  if (text.size() != 10 && text.size() != 19) return std::nullopt;
  const auto field = [&](size_t at, size_t length, int low, int high) -> std::optional<int> {
    int value = 0;
    if (!parse_all(text.substr(at, length), value) || value < low || value > high) return std::nullopt;
    return value;
  };
  const auto year = field(0, 4, 1, 9999), month = field(5, 2, 1, 12), day = field(8, 2, 1, 31);
  if (!year || !month || !day || text[4] != '-' || text[7] != '-') return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(*year), std::chrono::month(static_cast<unsigned>(*month)),
                                         std::chrono::day(static_cast<unsigned>(*day))};
  if (!date.ok()) return std::nullopt;
  int64_t seconds = int64_t{86400} * std::chrono::sys_days(date).time_since_epoch().count();
  if (text.size() == 10) return seconds;
  const auto hour = field(11, 2, 0, 23), minute = field(14, 2, 0, 59), second = field(17, 2, 0, 60);
  if (!hour || !minute || !second || (text[10] != ' ' && text[10] != 'T') || text[13] != ':' || text[16] != ':')
    return std::nullopt;
  return seconds + *hour * 3600 + *minute * 60 + *second;
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
    const size_t length = sequence_length(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

std::optional<int64_t> parse_time(std::string_view text) {
  if (text.empty()) return 0;
  int64_t integer = 0;
  if (parse_all(text, integer)) return integer;
  const auto number = parse_number(text);
  if (number && std::abs(*number) < 9e18) return static_cast<int64_t>(*number);
  return parse_date(text);
}

std::optional<double> parse_number(std::string_view text) {
  double value = 0;
  if (!parse_all(text, value) || !std::isfinite(value)) return std::nullopt;
  return value;
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n\f\v";
  const size_t first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

std::string quoted(std::string_view text) {
  constexpr size_t kMax = 40;
  std::string out = "'";
  for (const char c : text.substr(0, kMax)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7F) {
      out += c;
    } else {
      out += std::string("\\x") + "0123456789ABCDEF"[byte >> 4] + "0123456789ABCDEF"[byte & 15];
    }
  }
  return out + (text.size() > kMax ? "...'" : "'");
}

std::string python_literal_to_json(std::string_view text) {
  std::string json;
  char quote = 0;  // of the string that we are in
  for (size_t n = 0; n < text.size(); ++n) {
    const char c = text[n];
    if (quote == 0) {
      const auto word = [&](std::string_view python, std::string_view replacement) {
        if (text.substr(n, python.size()) != python) return false;
        json += replacement;
        n += python.size() - 1;
        return true;
      };
      if (c == '\'' || c == '"') {
        quote = c;
        json += '"';
      } else if (!word("None", "null") && !word("True", "true") && !word("False", "false")) {
        json += c;
      }
    } else if (c == quote) {
      quote = 0;
      json += '"';
    } else if (c == '\\' && n + 1 < text.size()) {
      const char next = text[++n];
      if (next == 'x' && n + 2 < text.size()) {
        json += "\\u00" + std::string(text.substr(n + 1, 2));
        n += 2;
      } else if (next == '\'') {
        json += '\'';
      } else {
        json += std::string("\\") + next;
      }
    } else {
      if (c == '"') json += '\\';
      json += c;
    }
  }
  return json;
}

}  // namespace cllm
