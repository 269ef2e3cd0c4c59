#pragma once

#include <arrow/array.h>

#include <charconv>
#include <cmath>
#include <cstdint>
#include <string>
#include <type_traits>

namespace cllm {

inline constexpr size_t kLongestNumber = 400;  // a double without exponent

/// Writes a number as text (columnar_rows.h); returns its end.
template <typename Number>
char* write_number(Number value, char* begin) {
  char* const room = begin + kLongestNumber;
  if constexpr (std::is_floating_point_v<Number>) {
    if (std::isnan(value)) return begin;  // what pandas has in the place of null
    // Ids became floating-point numbers where some are missing: 123, not 1.23e+02.
    const bool whole = std::abs(value) < 1e15 && value == std::trunc(value);
    return (whole ? std::to_chars(begin, room, value, std::chars_format::fixed) : std::to_chars(begin, room, value))
        .ptr;
  } else {
    return std::to_chars(begin, room, +value).ptr;
  }
}

/// Is append_cell() there for values of the type?
bool is_read(const arrow::DataType& type);
bool is_list(const arrow::DataType& type);

/// Are the lists of two columns as long as each other, in every row? False for what is_list() is not.
bool are_as_long(const arrow::Array& a, const arrow::Array& b);

/// Appends a value as text (columnar_rows.h). `depth`: of lists in lists.
void append_cell(const arrow::Array& column, int64_t row, std::string& out, int depth = 0);

}  // namespace cllm
