#pragma once

#include <charconv>
#include <cstdint>
#include <optional>
#include <string_view>

namespace cllm {

inline bool is_digit(char c) { return c >= '0' && c <= '9'; }
inline bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

/// Walks over a text; every take_* leaves the place as it was if what it wants is not there.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  bool at_end() const { return text_.empty(); }
  char peek() const { return text_.empty() ? '\0' : text_[0]; }
  bool take(char wanted) {
    if (peek() != wanted || text_.empty()) return false;
    text_.remove_prefix(1);
    return true;
  }
  bool take_one_of(std::string_view wanted) {
    if (text_.empty() || wanted.find(text_[0]) == std::string_view::npos) return false;
    text_.remove_prefix(1);
    return true;
  }
  bool take_blanks() {
    const bool any = peek() == ' ';
    while (take(' ')) {
    }
    return any;
  }
  /// Between `least` and `most` digits as a number within the bounds.
  std::optional<int> number(size_t least, size_t most, int low, int high) {
    size_t length = 0;
    while (length < text_.size() && length < most && is_digit(text_[length])) ++length;
    int value = 0;
    if (length < least || std::from_chars(text_.data(), text_.data() + length, value).ec != std::errc()) return {};
    if (value < low || value > high) return {};
    text_.remove_prefix(length);
    return value;
  }
  /// Digits as a fraction of 1 in units of 1e-9.
  std::optional<uint32_t> fraction() {
    uint32_t value = 0;
    size_t length = 0;
    for (; length < text_.size() && is_digit(text_[length]); ++length) {
      if (length < 9) value = value * 10 + static_cast<uint32_t>(text_[length] - '0');
    }
    if (length == 0) return {};
    for (size_t n = length; n < 9; ++n) value *= 10;
    text_.remove_prefix(length);
    return value;
  }
  /// Letters; may be none.
  std::string_view word() {
    size_t length = 0;
    while (length < text_.size() && is_letter(text_[length])) ++length;
    const std::string_view found = text_.substr(0, length);
    text_.remove_prefix(length);
    return found;
  }
  /// (anything)
  bool take_comment() {
    const size_t end = text_.find(')');
    if (peek() != '(' || end == std::string_view::npos) return false;
    text_.remove_prefix(end + 1);
    return true;
  }

 private:
  std::string_view text_;
};

}  // namespace cllm
