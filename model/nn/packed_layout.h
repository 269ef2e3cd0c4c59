#pragma once

// Letters: B sequences, T tokens (packed: sequence after sequence, no padding), D width.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "data/sampling/batch.h"

namespace cllm {

/// Packed sequences: where each starts, and the position of every token inside its own.
struct PackedLayout {
  std::vector<int64_t> offsets;  // [B+1]
  std::vector<int64_t> prompts;  // [B] tokens of the sequence that a decoder beside an encoder does not read, at least
                                 // 1; the rest it reads. Empty: all
  int64_t longest = 0;
  at::Tensor positions_T;     // int64 [T], on the compute device
  at::Tensor offsets_B1;      // int32 [B+1], on the compute device
  at::Tensor dropout_keys_T;  // int64 [T] random key of each token (sequence key and position); undefined: dropout off
  uint64_t dropout_seed = 0;  // of all sequences together, for a library's kernel that knows no keys
  at::Tensor output_rows_A;   // int64 [A] distinct tokens whose hidden state is wanted; undefined: all. Spares the last
                              // block's work

  int64_t num_sequences() const { return static_cast<int64_t>(offsets.size()) - 1; }
  int64_t num_tokens() const { return offsets.back(); }
};

/// Dropout rates of the backbone; all 0 switches dropout off.
struct Dropout {
  double embedding = 0, attention = 0, residual = 0, adapters = 0;
  bool active() const { return embedding > 0 || attention > 0 || residual > 0 || adapters > 0; }
};

/// Layout of a batch's sequences on `device`. `dropout`: fill dropout_keys_T. output_rows_A stays undefined.
PackedLayout make_layout(const Batch& batch, at::Device device, bool dropout);

/// Layout of sequences of the given lengths, without dropout keys.
PackedLayout make_layout(const std::vector<int64_t>& lengths, at::Device device);

/// x_TD[rows_A] for distinct rows (output_rows_A), [A, D]; differentiable in x.
at::Tensor pick_rows(const at::Tensor& x_TD, const at::Tensor& rows_A);

}  // namespace cllm
