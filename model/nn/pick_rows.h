#pragma once

#include <ATen/core/Tensor.h>

namespace cllm {

/// x_TD[rows_A] for distinct rows, [A, D]; differentiable in x.
at::Tensor pick_rows(const at::Tensor& x_TD, const at::Tensor& rows_A);

}  // namespace cllm
