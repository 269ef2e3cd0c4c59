#pragma once

// Letters: M rows that one update moves, P parts, I rows of a head, N rows of a table, D width.

#include <ATen/core/Tensor.h>

#include <optional>

#include "model/kernels/rows/row_segments.h"

namespace cllm::kernels {

/// The gradient of the rows that one update moves, as the parts that row_update.h's functions sum while they update
/// (METHOD.md §4, §5): row m gets its parts in their order, then its row of the head, then pull_M[m] (w - fixed), w
/// read after its catch-up. All but `fixed_ND` fp32, or fp64 for an fp64 table.
struct RowGradient {
  at::Tensor rows_M;                         // int64 local rows, distinct, ascending
  at::Tensor parts_PD = {};                  // with `segments` in any number; otherwise part m is row m's
  std::optional<RowSegments> segments = {};  // of the M rows
  at::Tensor head_ID = {};                   // of the last I of the M rows, one each; undefined: none
  at::Tensor fixed_ND =
      {};  // weights of the other side, same rows and dtype as the table's, caught up where pull_M is not 0
  at::Tensor pull_M = {};  // 2 lambda times the weight of the row's regulariser
  at::Tensor sum_M = {};   // out, if defined: sum over D of the gradient
};

/// Throws c10::Error if the parts do not fit each other and a table of these weights.
void check_parts(const RowGradient& gradient, const at::Tensor& weight);

}  // namespace cllm::kernels
