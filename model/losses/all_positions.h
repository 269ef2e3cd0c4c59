#pragma once

// The hidden states of all ranks where the rows of a head are sharded: every rank scores all positions against its own
// rows. Letters as in blocked_softmax.h, R ranks.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "dist/communicator/communicator.h"
#include "model/losses/blocked_softmax.h"
#include "model/losses/softmax_head.h"

namespace cllm {

/// The positions of all ranks, one rank after the other.
struct AllPositions {
  std::vector<int64_t> positions, targets;       // [R] of every rank
  int64_t first_position = 0, first_target = 0;  // of this rank
  at::Tensor hidden_AD;
  FlatTargets flat;  // rows count from the first item of all
};
/// Collective: all_gathers of the numbers, the hidden states and the targets.
AllPositions gather_positions(Communicator& comm, const at::Tensor& hidden_AD, const Targets& targets);

}  // namespace cllm
