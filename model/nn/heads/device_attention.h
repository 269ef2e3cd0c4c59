#pragma once

// Attention for tensors on a GPU, with the contracts of attention.h and grouped_attention.h. Callers use those headers,
// which come here when their tensors are on a GPU. Letters: T tokens, H query heads, K key heads, h head width.

#include <ATen/core/Tensor.h>

#include "model/nn/dropout.h"
#include "model/nn/heads/grouped_attention.h"
#include "model/nn/packed_layout.h"

namespace cllm::device {

/// q [T, H, h], k and v [T, K, h], whose tokens may lie apart; a head's numbers are beside each other.
struct HeadTensors {
  at::Tensor q, k, v;
};

/// Whether attention of a GPU is libtorch's flash attention; otherwise it is the exact one, which runs over the
/// sequences on the host.
bool is_for_flash(at::ScalarType compute, int64_t head_width);

/// Causal softmax attention inside each packed sequence -> [T, H, h] in the dtype of q, whose softmax is fp32 (fp64 for
/// fp64). Neither repeats keys. bf16: flash attention (Dao 2023) over the packed sequences, for any grouping, scale and
/// window; its dropout has another mask than the site's, a function of layout.dropout_seed and the salt (so of this
/// rank's part of the batch), drawn from libtorch's generator of the device, which is seeded here. Otherwise exact
/// (exact_attention.h). Differentiable in all.
at::Tensor attention(const HeadTensors& of, const PackedLayout& layout, const GroupedHeads& heads,
                     const DropoutSite& site = {});

}  // namespace cllm::device
