#pragma once

// Attention for tensors on a GPU, with the contract of attention.h, made of libtorch's operators and differentiable by autograd. Callers
// use that header, which comes here when its tensors are on a GPU.

#include <ATen/core/Tensor.h>

#include "model/backbone.h"
#include "model/dropout.h"

namespace cllm::device {

/// bf16: flash attention over the packed sequences; its dropout has another mask than the site's, a function of layout.dropout_seed and
/// the salt (so of this rank's part of the batch), drawn from libtorch's generator of the device, which is seeded here. fp32 and fp64: sequence by sequence with the whole matrix of scores, exact, with the site's mask: for tests and small models.
at::Tensor causal_attention(const at::Tensor& qkv_T3D, const at::Tensor& bias_3D, const PackedLayout& layout, int64_t num_heads,
                            const DropoutSite& site);

}  // namespace cllm::device
