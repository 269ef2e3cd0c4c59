#pragma once

#include <functional>
#include <optional>

#include "launch/commands/command_line.h"
#include "launch/run/trainer.h"
#include "launch/run/workspace.h"
#include "launch/supervision/run_lock.h"
#include "launch/supervision/supervision.h"

namespace cllm {

/// What rank 0 does to the run folder before anything else: nobody else uses it, it fits the configuration, it is no
/// crash loop.
void enter(const RunConfig& config, bool fresh, std::optional<RunLock>& lock);

struct TrainingOptions {
  bool share_gpus = false;
  /// With the best state in the model, before MPI ends. Collective.
  std::function<void(Workspace& workspace, Communicator& world)> when_done = {};
  /// Part of a search: baselines, card and report are left out.
  std::optional<TrialOptions> trial = {};
};

/// Trains in a run folder that was entered. MPI goes on. Collective.
TrainOutcome train_a_while(CommandContext& context, const RunConfig& config, Supervision& supervision,
                           const TrainingOptions& how);

/// Trains in a run folder that was entered, and presents the outcome. The exit code. Collective.
int train_in_folder(CommandContext& context, const RunConfig& config, Supervision& supervision,
                    const TrainingOptions& how);

}  // namespace cllm
