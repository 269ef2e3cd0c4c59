#pragma once

#include <ATen/core/Tensor.h>

#include "model/nn/dropout.h"
#include "model/nn/packed_layout.h"

namespace cllm {

/// Causal softmax attention inside each packed sequence. `qkv_T3D` in the compute dtype, without bias: queries, keys,
/// values, each [T, H, D/H]; `bias_3D` in the residual dtype, on a GPU undefined if the product has added it. Result
/// [T, D] in the compute dtype; softmax in fp32 (fp64 for fp64). Saves qkv and one log-sum-exp per token and head.
/// Differentiable in qkv and bias.
at::Tensor causal_attention(const at::Tensor& qkv_T3D, const at::Tensor& bias_3D, const PackedLayout& layout,
                            int64_t num_heads, const DropoutSite& site);

}  // namespace cllm
