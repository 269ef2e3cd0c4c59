#pragma once

// Attention for tensors on a GPU, with the contract of attention.h, made of libtorch's operators and differentiable by
// autograd. Callers use that header, which comes here when its tensors are on a GPU.

#include <ATen/core/Tensor.h>

#include "model/nn/dropout.h"
#include "model/nn/packed_layout.h"

namespace cllm::device {

/// Whether attention of a GPU is libtorch's flash attention; otherwise it is the exact one, which runs over the
/// sequences on the host.
bool is_for_flash(at::ScalarType compute, int64_t head_width);

/// bf16: flash attention over the packed sequences; its dropout has another mask than the site's, a function of
/// layout.dropout_seed and the salt (so of this rank's part of the batch), drawn from libtorch's generator of the
/// device, which is seeded here. Otherwise exact, with the site's mask and the whole matrix of scores of some sequences
/// at a time (64 M scores).
at::Tensor causal_attention(const at::Tensor& qkv_T3D, const at::Tensor& bias_3D, const PackedLayout& layout,
                            int64_t num_heads, const DropoutSite& site);

}  // namespace cllm::device
