#pragma once

// Letters: T items of all sequences (packed: one sequence after the other, no padding), B sequences, D width, L the
// longest history that the model sees.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "model/nn/packed_layout.h"
#include "model/recommenders/sasrec/options.h"

namespace cllm {

/// Histories of at most L items.
struct Histories {
  PackedLayout layout;  // with dropout_keys_T: dropout is on
  at::Tensor place_T;   // int64: row of the learned positions, the last item of each sequence has L - 1
};

/// On the CPU. `keys`: one per sequence, of dropout; empty: off. Every length is 1 .. max_length.
Histories make_histories(const std::vector<int64_t>& lengths, int64_t max_length, const std::vector<uint64_t>& keys);
Histories upload(const Histories& histories, at::Device device);

/// The causal transformer over item rows; its weights are the same on all ranks. Packed sequences need none of the
/// masks of padding that the sources have.
class SasrecEncoder {
 public:
  SasrecEncoder(const SasrecOptions& options, at::ScalarType dtype, at::Device device, uint64_t key);

  /// Rows of the items [T, D] -> hidden states [T, D] in the dtype of the rows. Differentiable in rows and parameters.
  at::Tensor forward(const at::Tensor& rows_TD, const Histories& histories) const;

  /// Floating-point operations of a forward pass over T items; `pairs`: (query, key), both halves of the causal mask.
  double flops(double T, double pairs) const;

  using Named = std::vector<std::pair<std::string, at::Tensor>>;
  const Named& parameters() const { return parameters_; }

 private:
  struct Pass;
  at::Tensor authors_block(const Pass& pass, const at::Tensor& x_TD, int64_t block) const;
  at::Tensor standard_block(const Pass& pass, const at::Tensor& x_TD, int64_t block) const;

  SasrecBlocks blocks_;
  int64_t num_blocks_, num_heads_;
  double dropout_, epsilon_;
  Named parameters_;
};

}  // namespace cllm
