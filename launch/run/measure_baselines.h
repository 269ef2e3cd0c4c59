#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "launch/output/baselines.h"
#include "launch/run/workspace.h"
#include "model/evaluation/evaluate.h"

namespace cllm {

/// What stands beside every run: what any model must beat.
inline const std::vector<std::string> kUsualBaselines = {"popularity", "item_cosine"};

/// The models that may (Model::closed_form).
std::vector<std::string> possible_baselines();

/// Fits each of `models` (of possible_baselines(), with their default options) on the workspace's corpus and measures
/// it as a run is, by `options` without intervals and groups; one is in memory at a time. A model that is refused, for
/// lack of memory, has the reason instead of values. Empty if options.leave said so. Collective. AgreedFailure on all
/// ranks.
std::optional<Baselines> measure_baselines(const Workspace& workspace, std::span<const std::string> models,
                                           EvaluationOptions options);

}  // namespace cllm
