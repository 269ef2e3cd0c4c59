#pragma once

#include <map>
#include <string>

#include "launch/output/baselines.h"
#include "launch/plan/memory_plan.h"
#include "launch/run/workspace.h"

namespace cllm {

/// The lines before step 0: configuration, sizes, memory per rank, derived numbers (steps per epoch, sequences per
/// step).
std::string start_print(const Workspace& workspace, const MemoryPlan& memory, int world_size);

/// "recall@20 .2512  recall@40 .3465  ndcg@100 .2244"
std::string format_metrics(const std::map<std::string, double>& metrics);

/// A table of metrics of a part: the baselines by name, and the trained model.
std::string metrics_table(const std::string& part, const Baselines& baselines, const MetricValues& model,
                          const std::string& model_name);

}  // namespace cllm
