#pragma once

// Letters: T tokens, D width. R: dtype of the residual stream (fp32, fp64); C: compute dtype (R, or bf16 with fp32).

#include <ATen/core/Tensor.h>

#include <utility>

#include "model/nn/dropout.h"

namespace cllm {

/// Weights of a layer norm, [D] in R.
struct Norm {
  at::Tensor gamma, beta;
  double epsilon = 1e-5;
};

/// (x', n): x' = x + dropout(y + bias) [T, D] in R and n = layer_norm(x') in C, in one pass. `x_TD` in R; `y_TD` in C,
/// `bias_D` in R. Differentiable in all tensors; saves x' and two numbers per token.
std::pair<at::Tensor, at::Tensor> add_and_norm(const at::Tensor& x_TD, const at::Tensor& y_TD, const at::Tensor& bias_D,
                                               const Norm& norm, const DropoutSite& site);

/// layer_norm(x) in `compute`.
at::Tensor norm_only(const at::Tensor& x_TD, const Norm& norm, at::ScalarType compute);

}  // namespace cllm
