#pragma once

#include <map>
#include <string>

#include "launch/schedule.h"
#include "launch/workspace.h"

namespace cllm {

/// What a run needs on one rank at its peak, by part, in bytes. `now` is measured when everything is loaded; the rest is predicted from
/// sizes, before the first step.
struct MemoryPlan {
  double now = 0, optimizer = 0, activations = 0, head = 0, snapshot = 0;

  double total() const { return now + optimizer + activations + head + snapshot; }
};
MemoryPlan plan_memory(const Workspace& workspace, int world_size);

/// The lines before step 0: configuration, sizes, memory per rank, derived numbers (steps per epoch, sequences per step).
std::string start_print(const Workspace& workspace, const Schedule& schedule, const MemoryPlan& memory, int world_size);

/// What the hungriest rank really took at its peak, beside the plan. Collective.
std::string memory_print(const MemoryPlan& plan, Communicator& comm);

/// A table of test metrics: the baselines by name, and the trained model.
std::string metrics_table(const std::map<std::string, std::map<std::string, double>>& baselines,
                          const std::map<std::string, double>& model);

}  // namespace cllm
