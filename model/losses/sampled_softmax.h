#pragma once

// Softmax over J items whose sum over all items is estimated from S shared negatives. Letters: A positions, K targets,
// S negatives, D width.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "model/losses/softmax_head.h"

namespace cllm {

/// Items drawn for one step, with repetitions, the same on all ranks: each uniform in [0, num_items).
std::vector<int32_t> draw_negatives(int64_t num_items, int64_t count, uint64_t key);

/// The rows of one call, in the table's dtype. A negative that is a position's own target does not count for it.
struct SampledRows {
  at::Tensor items_S;       // int64 [S] the negatives
  at::Tensor negatives_SD;  // their rows
  at::Tensor targets_KD;    // the rows of targets.ids_K
  double log_expected = 0;  // ln(S / J): how often each item was expected among the negatives (logQ correction)
};

struct SampledResult {
  double loss =
      0;  // this rank's sum_k weight_k (ln Z_k - logit_k), Z_k = e^logit_k + sum over negatives of J / S e^logit
  at::Tensor hidden_gradient;                     // [A, D], dtype of the hidden states
  at::Tensor negative_gradient, target_gradient;  // [S, D], [K, D] in the table's dtype
};

/// Z_k estimates the exact sum over all items without bias (Bengio & Senecal 2008; with the correction of Yi et al.
/// 2019). Exact if every item is a negative once. Local. Compute dtype = dtype of hidden_AD.
SampledResult sampled_softmax(const at::Tensor& hidden_AD, const SampledRows& rows, const Targets& targets);

}  // namespace cllm
