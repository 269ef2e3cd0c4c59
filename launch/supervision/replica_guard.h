#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "checkpoints/train_state.h"
#include "dist/communicator/communicator.h"

namespace cllm {

/// Notices when a bit of a tensor that all ranks hold alike (the backbone, its optimiser's state) has changed on some
/// of them: nothing else would, and rank 0's copy would be saved for all. Members are collective.
class ReplicaGuard {
 public:
  /// `replicas`: the tensors of this moment, views. Compared every `every_steps` steps (0: never) and when asked.
  ReplicaGuard(Communicator& comm, std::function<std::vector<ReplicatedTensor>()> replicas, int64_t every_steps);

  /// Compares if it is due.
  void step_done(int64_t step);
  /// Compares digests of all tensors, unless that was done in this step. Throws AgreedFailure (exit code 71: the host
  /// of the rank that it names cannot be trusted) on all ranks.
  void compare(int64_t step);

  /// For tests: changes one bit on this rank.
  void flip_a_bit() const;

 private:
  Communicator& comm_;
  std::function<std::vector<ReplicatedTensor>()> replicas_;
  int64_t every_steps_, compared_ = -1;
};

}  // namespace cllm
