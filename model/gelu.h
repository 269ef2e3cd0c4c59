#pragma once

#include <ATen/core/Tensor.h>

#include "model/gpt2_config.h"

namespace cllm {

/// gelu(h + bias) in the dtype of `h_TF` (compute dtype); `bias_F` in the residual dtype. Differentiable in both; saves h only.
at::Tensor bias_gelu(const at::Tensor& h_TF, const at::Tensor& bias_F, Activation activation);

}  // namespace cllm
