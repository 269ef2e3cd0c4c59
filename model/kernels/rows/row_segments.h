#pragma once

// Which contributions belong to which row, in a fixed order, so that sums are bitwise the same in every run.
// Letters: T contributions, M rows, P pieces of long rows.

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace cllm::kernels {

/// Contributions of row m: order_T[offsets_M1[m] .. offsets_M1[m+1]), ascending. A row with more than kLongRow
/// contributions (a very popular item) is cut into pieces of kLongRow, which are summed first, so that no row waits for
/// one block of threads.
struct RowSegments {
  static constexpr int64_t kLongRow = 256;

  at::Tensor order_T;           // int64 [T] positions grouped by row, ascending within a row
  at::Tensor offsets_M1;        // int64 [M+1]
  at::Tensor piece_begin_P;     // int64 [P] first position (in order_T) of every piece; the last ones are empty
  at::Tensor piece_end_P;       // int64 [P]; P is a function of T, 0 up to kLongRow
  at::Tensor piece_offsets_M1;  // int64 [M+1] pieces of row m; empty range for a row that is not long

  int64_t num_rows() const { return offsets_M1.size(0) - 1; }
  int64_t num_pieces() const { return piece_begin_P.size(0); }
};

/// `row_of_T`: int64 [T], row 0 .. num_rows-1 of every contribution (Route::inverse_T), any device. Rows without
/// contributions are fine.
RowSegments group_by_row(const at::Tensor& row_of_T, int64_t num_rows);

}  // namespace cllm::kernels
