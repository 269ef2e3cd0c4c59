#pragma once

#include <ATen/core/Tensor.h>

namespace cllm {

enum class Activation { kGeluTanh, kGeluErf };

/// gelu(h + bias) in the dtype of `h_TF` (compute dtype); `bias_F` in the residual dtype. Differentiable in both; saves
/// h only.
at::Tensor bias_gelu(const at::Tensor& h_TF, const at::Tensor& bias_F, Activation activation);

}  // namespace cllm
