#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace cllm {

/// A column that the first rows, by which a file is understood, do not show as texts.
struct LateColumn {
  std::string name;
  size_t place = 0;
  bool empty = false;  // it has no value there: read from its first text on
  bool is_read = false;
  uint64_t values = 0, texts = 0, first_line = 0;  // of the file; of the first text

  /// Counts a value of the row; true if the column is to be read from here on.
  bool see(std::string_view value, bool is_text, uint64_t line);
};

/// For a note; empty: nothing to say. Read: "texts of the kind 'description' come first in line 1001"; not read though
/// most of the values are texts; never filled.
std::string describe_late(const std::vector<LateColumn>& columns, size_t sampled_rows);

}  // namespace cllm
