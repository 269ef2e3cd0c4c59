#pragma once

#include "model/backbones/backbone.h"
#include "model/recommenders/cllm4rec/options.h"
#include "model/recommenders/cllm4rec/sampler.h"
#include "model/recommenders/cllm4rec/train_step.h"

namespace cllm {

/// How the L or F steps of a run meet the item table.
struct ItemHead {
  ItemSoftmax form = ItemSoftmax::kSharded;
  double share = 0;  // operations of the softmax over all items / those of the backbone, in a step
};

/// Floating-point operations of a step on this rank (model/step/flops.h): the backbone's and its head's.
double step_flops(const RecBatch& batch, const Backbone& backbone, const StepConfig& config, bool train_backbone);

/// optimizer.item_softmax; "auto" is exact unless both hold: the softmax over all items takes more operations than the
/// backbone (`share` above 1), so that it would be most of the step, and there are at least kItemsPerNegative items per
/// negative, so that an estimate saves most of it.
inline constexpr int64_t kItemsPerNegative = 64;
ItemSoftmax choose_item_softmax(const Cllm4recOptions& options, int64_t num_items, double share);

/// The choice for steps of `kind`. `share` is that of about one group of the first step, the same on all ranks and for
/// any number of them.
ItemHead choose_item_head(const Cllm4recOptions& options, const Sampler& sampler, const Backbone& backbone,
                          StepKind kind);

}  // namespace cllm
