#pragma once

// Elements of a matrix of positions and rows: what histories show, and what positions are to predict. Letters as in
// soft_labels.h, P pairs.

#include <ATen/TensorIndexing.h>
#include <ATen/core/Tensor.h>

#include <cstdint>

#include "model/losses/blocked_softmax.h"
#include "model/losses/soft_labels.h"

namespace cllm {

/// Elements of the matrix [A, rows], positions ascending; int64.
struct Pairs {
  at::Tensor position_P, row_P;
  at::Tensor weight_P;  // fp64; undefined: none

  Pairs select(const at::Tensor& index) const;
  /// Those of rows first .. last - 1, which then count from `first`.
  Pairs of_rows(int64_t first, int64_t last) const;
  /// Those of a block, counted from its corner.
  Pairs within(Range positions, Range rows) const;
  Pairs to(at::Device device) const;
  /// [P] of a matrix.
  at::Tensor of(const at::Tensor& block_bv) const { return block_bv.index({position_P, row_P}); }
};

/// The items that positions have shown.
Pairs shown_items(const HistoryTensors& histories);

/// All that positions are to predict: listed targets, and the rests of histories.
Pairs all_targets(const FlatTargets& listed, const HistoryTensors& histories);

}  // namespace cllm
