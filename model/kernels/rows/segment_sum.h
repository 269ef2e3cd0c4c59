#pragma once

#include <ATen/core/Tensor.h>

#include "model/kernels/rows/row_segments.h"

namespace cllm::kernels::cuda {

/// Sums of the pieces of long rows: [P, D]; undefined if there are none.
at::Tensor sum_pieces(const at::Tensor& values_TD, const RowSegments& segments);

}  // namespace cllm::kernels::cuda
