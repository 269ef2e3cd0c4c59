#pragma once

// Letters: T tokens, H query heads, K key heads, h head width.

#include <ATen/core/Tensor.h>

#include "model/nn/packed_layout.h"

namespace cllm {

struct GroupedHeads {
  int64_t num_heads, num_kv_heads, head_width;
  double scale;        // of q k
  int64_t window = 0;  // keys that a query sees, itself included; 0: all before it
};

/// Causal softmax attention inside each packed sequence, H / K query heads to a key head (Ainslie et al. 2023). q [T, H
/// h], k and v [T, K h] in the compute dtype; result [T, H h]; softmax in fp32 (fp64 for fp64). Keys and values are not
/// repeated and nothing is padded. Differentiable in all; saves them and a log-sum-exp per token and query head. On a
/// GPU as device_attention.h says.
at::Tensor grouped_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const PackedLayout& layout,
                             const GroupedHeads& heads);

}  // namespace cllm
