#pragma once

// Letters: T tokens, D width. R: dtype of the residual stream (fp32, fp64); C: compute dtype (R, or bf16 with fp32).

#include <ATen/core/Tensor.h>

#include <utility>

#include "model/nn/dropout.h"

namespace cllm {

/// RMS norm (Zhang & Sennrich 2019): x / sqrt(mean x^2 + epsilon) times w, or 1 + w. Undefined weight: no norm, x
/// itself.
struct RmsNorm {
  at::Tensor weight_D;  // in R
  double epsilon = 1e-6;
  bool offset = false;

  bool defined() const { return weight_D.defined(); }
};

/// (x', n): x' = x + dropout(post(y)) in R and n = next(x') in C. `x_TD` in R, `y_TD` in C; `post` may be no norm.
/// Differentiable in x, y and the weights; saves x', y where it is normed, and a number or two per token. One pass over
/// a row.
std::pair<at::Tensor, at::Tensor> add_and_rms_norm(const at::Tensor& x_TD, const at::Tensor& y_TD, const RmsNorm& post,
                                                   const RmsNorm& next, const DropoutSite& site);

/// norm(x) over the last dimension in `compute`; x in R, of any shape.
at::Tensor rms_norm(const at::Tensor& x, const RmsNorm& norm, at::ScalarType compute);

}  // namespace cllm
