#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/recommenders/cllm4rec/objective/objective.h"
#include "model/recommenders/cllm4rec/preset.h"
#include "model/recommenders/cllm4rec/sequence.h"
#include "model/recommenders/cllm4rec/step_kind.h"

namespace cllm {

/// What a group's loss is divided by, over the WHOLE global batch: its active tokens (L, C) or its users (F, and L with
/// label_weight = user, where the positions of a user share a weight). One entry
/// per group.
struct GroupTotals {
  std::vector<int64_t> terms;
};

/// Terms that a sequence adds to its group's total; main_length is ignored in F.
int64_t num_loss_terms(StepKind kind, const LossOptions& options, int64_t main_length,
                       const ObjectiveOptions& objective = {});

/// Packs the sequences of one rank and resolves the loss options into weights, METHOD.md §5:
///   token_mean 1 / (G * tokens of the group), token_sum 1 / G; user_mean 1 / (G * users of the group), user_sum 1 / G.
/// The global loss is the mean over the G = totals.terms.size() groups; a group without active tokens just adds
/// nothing. With a soft objective also the histories; a set target is the rest of one. std::invalid_argument if a main
/// text is not homogeneous, a target is no item, or a group is not in `totals`.
RecBatch collate(std::span<const Sequence> mine, StepKind kind, const GroupTotals& totals, const Vocabulary& vocabulary,
                 const LossOptions& options, const ObjectiveOptions& objective = {});

}  // namespace cllm
