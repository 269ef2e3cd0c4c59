#pragma once

#include "data/sampling/batch.h"
#include "model/losses/soft_labels.h"

namespace cllm {

/// L-step, C-step and finetuning step of METHOD.md §5. L and F train the collaborative tables, C the content tables.
enum class StepKind { kCollaborative, kContent, kRecommendation };

/// What one rank computes in a step of a kind. Targets are item indices (L, F) or word ids (C).
struct RecBatch : Batch {
  StepKind kind = StepKind::kCollaborative;
  HistoryLists histories = {};  // of L and F where the objective is soft (objective.h); otherwise empty
};

}  // namespace cllm
