#pragma once

#include <string>
#include <vector>

#include "checkpoints/checkpoint.h"

namespace cllm {

/// How one tensor of two checkpoints differs.
struct TensorDifference {
  std::string name;
  std::string other;              // not empty: it cannot be compared, e.g. "only in the first"
  int64_t rows = 0, changed = 0;  // rows in all, rows of which some bit differs
  double largest = 0;             // |difference| of an element; NaN if one is no number
};

/// All tensors of both, by name. The number of ranks that saved does not matter. Streams: memory is a few blocks of 4
/// MiB. Reads and verifies every byte; CheckpointError(66).
std::vector<TensorDifference> compare_checkpoints(const CheckpointInfo& first, const CheckpointInfo& second);

/// A number that depends on every row's name of tensor, number and bits, and not on files, ranks or order: checkpoints
/// of equal content have equal digests. Streams, like compare_checkpoints().
uint64_t content_digest(const CheckpointInfo& checkpoint);

}  // namespace cllm
