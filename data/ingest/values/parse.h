#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace cllm {

/// Well-formed UTF-8 without U+0000: no overlong forms, no surrogates, nothing above U+10FFFF.
bool is_utf8(std::string_view text);

/// The whole text as a finite number.
std::optional<double> parse_number(std::string_view text);

/// Without white space at both ends.
std::string_view trimmed(std::string_view text);
/// "a b" of a%20b.
std::string without_percents(std::string_view text);

/// For messages: at most 40 bytes, control and non-ASCII bytes as \xNN, in quotes.
std::string quoted(std::string_view text);

/// For a text that is no UTF-8: what it may be, and the option that reads it.
std::string suggest_encoding(std::string_view text);

/// What files write where a number is missing: nothing, NaN, NaT, null, None, N/A, NA, \N.
bool is_no_value(std::string_view text);

}  // namespace cllm
