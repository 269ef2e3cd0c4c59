#pragma once

// Softmax attention of packed sequences on the CPU, head by head. Letters: T tokens, H query heads, K key heads, d head
// width.

#include <ATen/core/Tensor.h>

#include "model/nn/dropout.h"
#include "model/nn/packed_layout.h"

namespace cllm::heads {

/// q [T, H d], k and v [T, K d] of one compute dtype, whose rows may lie apart; biases by column and lse [H, T], the
/// log of the sum of exponentials, in the residual dtype; no bias: undefined. H / K query heads share a key head.
struct PackedHeads {
  at::Tensor q, k, v, bias_q, bias_k, bias_v, lse;
  const PackedLayout& layout;
  int64_t num_heads, num_kv_heads;
  double scale;           // of q k
  int64_t window = 0;     // keys that a query sees, itself included; 0: all before it
  DropoutSite site = {};  // of the probabilities, by query head
};

/// Writes out [T, H d] and of.lse.
void forward(const PackedHeads& of, const at::Tensor& out);

/// Writes the gradients of q, k and v (of the shapes of those) from that of out, with the lse of forward.
void backward(const PackedHeads& of, const at::Tensor& grad_out, const at::Tensor& grad_q, const at::Tensor& grad_k,
              const at::Tensor& grad_v);

}  // namespace cllm::heads
