#include "data/ingest/values/python_literal.h"

#include <array>
#include <charconv>
#include <optional>
#include <utility>

#include "data/ingest/values/parse.h"

namespace cllm {
namespace {

bool is_word(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_'; }

void append_utf8(uint32_t code, std::string& out) {
  const auto byte = [&](uint32_t value) { out += static_cast<char>(value); };
  if (code < 0x80) {
    byte(code);
  } else if (code < 0x800) {
    byte(0xC0 | code >> 6);
    byte(0x80 | (code & 63));
  } else if (code < 0x10000) {
    byte(0xE0 | code >> 12);
    byte(0x80 | (code >> 6 & 63));
    byte(0x80 | (code & 63));
  } else {
    byte(0xF0 | code >> 18);
    byte(0x80 | (code >> 12 & 63));
    byte(0x80 | (code >> 6 & 63));
    byte(0x80 | (code & 63));
  }
}

/// A character inside a JSON string.
void append_character(uint32_t code, std::string& json) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  constexpr uint32_t kReplacement = 0xFFFD;
  if (code > 0x10FFFF || code == 0) code = kReplacement;  // no text may hold U+0000
  if (code >= 0xD800 && code <= 0xDFFF) code = kReplacement;
  if (code == '"' || code == '\\') json += '\\';
  if (code < 0x20) {
    json += "\\u00";
    json += kDigits[code >> 4];
    json += kDigits[code & 15];
  } else {
    append_utf8(code, json);
  }
}

class Converter {
 public:
  explicit Converter(std::string_view text) : text_(text) {}

  std::string convert() {
    while (at_ < text_.size()) {
      if (is_word(text_[at_])) {
        word();
      } else if (text_[at_] == '\'' || text_[at_] == '"') {
        string(false, false);
      } else {
        punctuation();
      }
    }
    return std::move(json_);
  }

 private:
  void punctuation() {
    const char c = text_[at_++];
    if (c == '(') {
      json_ += '[';
    } else if (c == ')') {
      if (!json_.empty() && json_.back() == ',') json_.pop_back();  // a tuple of one
      json_ += ']';
    } else if (c == '-' && (rest().starts_with("Infinity") || rest().starts_with("inf"))) {
      // the word that follows becomes null
    } else {
      json_ += c;
    }
  }
  std::string_view rest() const { return text_.substr(at_); }

  /// A name, a number, or the prefix of a string.
  void word() {
    size_t end = at_;
    while (end < text_.size() && is_word(text_[end])) ++end;
    const std::string_view found = text_.substr(at_, end - at_);
    const bool before_quote = end < text_.size() && (text_[end] == '\'' || text_[end] == '"');
    if (before_quote && found.size() <= 2 && found.find_first_not_of("uUrRbB") == std::string_view::npos) {
      at_ = end;
      return string(found.find_first_of("rR") != std::string_view::npos,
                    found.find_first_of("uU") != std::string_view::npos);
    }
    static constexpr std::array<std::pair<std::string_view, std::string_view>, 8> kNames = {{{"None", "null"},
                                                                                             {"True", "true"},
                                                                                             {"False", "false"},
                                                                                             {"NaN", "null"},
                                                                                             {"nan", "null"},
                                                                                             {"Infinity", "null"},
                                                                                             {"inf", "null"},
                                                                                             {"NaT", "null"}}};
    at_ = end;
    for (const auto& [python, replacement] : kNames) {
      if (found == python) {
        json_ += replacement;
        return;
      }
    }
    const bool is_long = found.size() > 1 && found.back() == 'L' && found[0] >= '0' && found[0] <= '9';
    json_ += is_long ? found.substr(0, found.size() - 1) : found;
  }

  /// From a quote to the same quote. A string that does not end is left open: no JSON.
  void string(bool raw, bool unicode) {
    const char quote = text_[at_++];
    json_ += '"';
    while (at_ < text_.size() && text_[at_] != quote) {
      const char c = text_[at_++];
      if (c == '\\' && at_ < text_.size()) {
        raw ? raw_escape() : escape(unicode);
      } else if (static_cast<unsigned char>(c) < 0x20 || c == '"' || c == '\\') {
        append_character(static_cast<unsigned char>(c), json_);
      } else {
        json_ += c;
      }
    }
    if (at_ >= text_.size()) return;
    ++at_;
    json_ += '"';
  }

  void raw_escape() {
    append_character('\\', json_);
    append_character(static_cast<unsigned char>(text_[at_++]), json_);
  }

  /// Behind a backslash.
  void escape(bool unicode) {
    const char c = text_[at_++];
    static constexpr std::string_view kLetters = "abfnrtv0", kValues("\a\b\f\n\r\t\v\0", 8);
    if (c == 'x' && !unicode) return bytes();
    if (c == 'x' || c == 'u' || c == 'U') {
      const size_t length = c == 'x' ? 2 : c == 'u' ? 4 : 8;
      auto code = hexadecimal(length);
      if (!code) return append_both(c);
      if (*code >= 0xD800 && *code < 0xDC00 && rest().starts_with("\\u")) {  // a pair of surrogates, as JSON has them
        const size_t before = at_;
        at_ += 2;
        const auto low = hexadecimal(4);
        if (low && *low >= 0xDC00 && *low < 0xE000) {
          code = 0x10000 + ((*code - 0xD800) << 10) + (*low - 0xDC00);
        } else {
          at_ = before;
        }
      }
      append_character(*code, json_);
    } else if (c == '\'' || c == '"' || c == '\\' || c == '/') {
      append_character(static_cast<unsigned char>(c), json_);
    } else if (const size_t n = kLetters.find(c); n != std::string_view::npos) {
      append_character(static_cast<unsigned char>(kValues[n]), json_);
    } else {
      append_both(c);
    }
  }

  /// An escape that Python does not know stays as it is.
  void append_both(char c) {
    append_character('\\', json_);
    if (static_cast<unsigned char>(c) < 0x20) {
      append_character(static_cast<unsigned char>(c), json_);
    } else {
      json_ += c;
    }
  }

  /// A run of \xNN, the x of the first one read.
  void bytes() {
    std::string run;
    while (true) {
      const auto code = hexadecimal(2);
      if (!code) break;
      run += static_cast<char>(*code);
      if (!rest().starts_with("\\x")) break;
      at_ += 2;
    }
    if (run.empty()) return append_both('x');
    if (is_utf8(run)) {
      for (const char c : run) {
        if (static_cast<unsigned char>(c) < 0x80) {
          append_character(static_cast<unsigned char>(c), json_);
        } else {
          json_ += c;
        }
      }
    } else {
      for (const char c : run) append_character(static_cast<unsigned char>(c), json_);
    }
  }

  std::optional<uint32_t> hexadecimal(size_t length) {
    if (at_ + length > text_.size()) return {};
    uint32_t code = 0;
    const char* const begin = text_.data() + at_;
    const auto [end, error] = std::from_chars(begin, begin + length, code, 16);
    if (error != std::errc() || end != begin + length) return {};
    at_ += length;
    return code;
  }

  std::string_view text_;
  size_t at_ = 0;
  std::string json_;
};

}  // namespace

std::string python_literal_to_json(std::string_view text) { return Converter(text).convert(); }

}  // namespace cllm
