#pragma once

#include <arrow/array.h>

#include <cstdint>
#include <string>

namespace cllm {

/// Appends a value as text (columnar_rows.h). `depth`: of lists in lists.
void append_cell(const arrow::Array& column, int64_t row, std::string& out, int depth = 0);

}  // namespace cllm
