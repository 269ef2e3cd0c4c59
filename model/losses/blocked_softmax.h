#pragma once

// Softmax over the V rows of a head, block by block. With P = exp(logits - max), s = sum P and c = sum of a position's
// target weights, the gradients factor so that no block has to be normalised, and the targets' terms are K single rows:
//   dH = (c / s) (P W) - sum_k weight_k W[target_k]        dW = P^T ((c / s) H) - sum_k weight_k H[position_k]
// A block of a part of the rows takes the maximum of that part, m, and s is then exp(log sum exp over all rows - m).
// Letters: A positions, V rows of the head here, b positions and v rows of a block, K targets, D width.

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstdint>
#include <optional>

#include "model/losses/softmax_head.h"

namespace cllm {

/// Targets as a flat list; `row` counts from the first row of the head that is here.
struct FlatTargets {
  at::Tensor position_K, row_K;  // int64
  at::Tensor weight_K;           // fp64
};
FlatTargets flatten(const Targets& targets);

/// [A]: sum of the weights of a position's targets.
at::Tensor weight_of_positions(const FlatTargets& targets, int64_t A);

/// Some positions, or some rows of the head.
struct Range {
  int64_t first, count;
  at::Tensor of(const at::Tensor& tensor) const { return tensor.narrow(0, first, count); }
};

/// Calls `use(range)` for one range after the other of `step` of `all`.
template <typename Use>
void for_each_range(int64_t all, int64_t step, Use&& use) {
  for (int64_t first = 0; first < all; first += step) use(Range{first, std::min(step, all - first)});
}

/// P of a block, and the maximum and the sum of its positions.
struct ExpBlock {
  Range rows;  // of the head, with its padding
  at::Tensor p_bv, maximum_b, sum_b;

  at::Tensor log_sum() const;
  /// weight / sum of exp(logit - maximum) over all rows of the head, from the log of the sum of exp(logit).
  at::Tensor scale(const at::Tensor& weight_b, const at::Tensor& normaliser_b) const;
};

/// The head's rows on this rank and the gradients of one call.
class BlockedSoftmax {
 public:
  BlockedSoftmax(const at::Tensor& hidden_AD, const at::Tensor& head_VD, bool want_weight_gradient,
                 const std::optional<LogitBlocks>& blocks);

  int64_t num_positions() const { return hidden_AD_.size(0); }
  /// A block has all rows of the head.
  bool whole_rows() const { return rows_per_block_ >= head_VD_.size(0); }
  bool may_keep() const { return may_keep_; }

  /// Calls `use(positions)` block after block.
  template <typename Use>
  void for_each_block(Use&& use) const {
    for_each_range(num_positions(), positions_per_block_, use);
  }
  /// Calls `use(ExpBlock)` for the blocks of some positions.
  template <typename Use>
  void for_each_exp(Range positions, Use&& use) const {
    for_each_range(head_VD_.size(0), rows_per_block_, [&](Range rows) { use(exp_block(positions, rows)); });
  }

  /// Calls `use(rows)` for the ranges of rows that a block has, with the head's padding.
  template <typename Use>
  void for_each_rows(Use&& use) const {
    for_each_range(head_VD_.size(0), rows_per_block_, use);
  }
  /// Rows of such a range that are no padding.
  int64_t num_real(Range rows) const { return std::min(rows.count, num_rows_ - rows.first); }
  /// [b, v] with padding, where they are 0.
  at::Tensor logits(Range positions, Range rows) const;

  ExpBlock whole_exp(Range positions) const { return exp_block(positions, {0, head_VD_.size(0)}); }
  /// log sum exp of some positions [b] over the rows that are here, in fp64; without rows -infinity.
  at::Tensor log_sum_exp(Range positions) const;

  /// The softmax terms of the gradients of a block; scale_b: c / s.
  void add_softmax_terms(Range positions, const ExpBlock& block, const at::Tensor& scale_b);
  /// The gradients by d loss / d logits of a block, in the compute dtype, 0 at padding.
  void add_logit_gradient(Range positions, Range rows, const at::Tensor& gradient_bv);
  /// Logits of the targets [K], fp64.
  at::Tensor target_logits(const FlatTargets& targets) const;
  /// The targets' terms of the gradients.
  void add_target_terms(const FlatTargets& targets);

  const at::Tensor& hidden_gradient() const { return hidden_gradient_; }
  /// Undefined for a frozen head.
  at::Tensor weight_gradient() const {
    return weight_gradient_.defined() ? weight_gradient_.narrow(0, 0, num_rows_) : weight_gradient_;
  }
  at::TensorOptions sum_options() const { return hidden_AD_.options().dtype(sums_); }

 private:
  void cut(const LogitBlocks& blocks);
  ExpBlock exp_block(Range positions, Range rows) const;

  at::Tensor hidden_AD_;
  int64_t num_rows_;  // V, without padding
  at::Tensor head_VD_;
  at::ScalarType sums_;  // fp64 for fp64 hidden states, otherwise fp32
  int64_t positions_per_block_ = 0, rows_per_block_ = 0;
  bool may_keep_ = false;
  at::Tensor hidden_gradient_, weight_gradient_;  // in the precision of the sums
};

}  // namespace cllm
