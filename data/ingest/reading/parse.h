#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace cllm {

/// Well-formed UTF-8 without U+0000: no overlong forms, no surrogates, nothing above U+10FFFF.
bool is_utf8(std::string_view text);

/// A point in time or an order: an integer, a decimal number (cut to its integer), or "2018-07-07[ T]22:09:11" as UTC
/// seconds. Empty is 0. nullopt: none of these.
std::optional<int64_t> parse_time(std::string_view text);

/// The whole text as a finite number.
std::optional<double> parse_number(std::string_view text);

/// Without white space at both ends.
std::string_view trimmed(std::string_view text);

/// For messages: at most 40 bytes, control and non-ASCII bytes as \xNN, in quotes.
std::string quoted(std::string_view text);

/// One line of the Python literals that Amazon's 2014 metadata are made of ({'asin': '1', 'price': None}) as JSON.
std::string python_literal_to_json(std::string_view text);

}  // namespace cllm
