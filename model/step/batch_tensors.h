#pragma once

// Letters: T tokens, A active rows, K targets.

#include <ATen/core/Tensor.h>

#include <vector>

#include "data/sampling/batch.h"
#include "model/backbones/backbone.h"
#include "model/losses/softmax_head.h"

namespace cllm {

/// The tokens of a batch by where their embedding comes from.
struct TokenSources {
  at::Tensor word_positions, word_ids;  // int64
  at::Tensor row_positions;             // int64: tokens of users and items
  std::vector<int32_t> rows;            // their table rows
};

/// All that a step computes with and that depends on its batch alone.
struct BatchTensors {
  TokenSources tokens;
  PackedLayout layout;  // with output_rows_A
  Targets targets;
};

/// In memory of the host from which a copy to `device` keeps nobody waiting. Any thread: a batch may be made long
/// before its step. `dropout`: with dropout keys.
BatchTensors make_tensors(const Batch& batch, bool dropout, at::Device device);

/// The same on `device`; the copies are ordered before what the current stream gets next.
BatchTensors upload(const BatchTensors& host, at::Device device);

}  // namespace cllm
