#pragma once

#include <cstdint>
#include <vector>

#include "data/sampling/order.h"

namespace cllm {

/// How an epoch of samples is cut: a group is `group_size` consecutive samples of the epoch's order, a global batch is
/// `groups_per_batch` consecutive groups. The last group and the last batch of an epoch may be short.
struct BatchShape {
  int64_t group_size = 20;
  int64_t groups_per_batch = 8;

  int64_t samples_per_step() const { return group_size * groups_per_batch; }
  int64_t num_steps(int64_t num_samples) const { return (num_samples + samples_per_step() - 1) / samples_per_step(); }
};

struct PlannedSample {
  int64_t sample;  // 0 .. num_samples - 1
  int32_t group;   // 0 .. G - 1
};

/// The samples of global step `step` of an epoch. Pure, the same on every rank; the cost does not depend on
/// num_samples. std::out_of_range for a step that the epoch does not have.
std::vector<PlannedSample> plan_step(const EpochOrder& order, int64_t num_samples, const BatchShape& shape,
                                     int64_t step);

}  // namespace cllm
