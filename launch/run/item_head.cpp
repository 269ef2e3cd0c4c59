#include "launch/run/item_head.h"

#include "model/step/flops.h"

namespace cllm {

ItemSoftmax choose_item_softmax(const OptimizerSection& optimizer, int64_t num_items, double share) {
  if (optimizer.item_softmax == "sampled") return ItemSoftmax::kSampled;
  if (optimizer.item_softmax == "gathered") return ItemSoftmax::kGathered;
  const bool worth_it = share > 1 && num_items / kItemsPerNegative >= optimizer.negatives;
  return optimizer.item_softmax == "auto" && worth_it ? ItemSoftmax::kSampled : ItemSoftmax::kSharded;
}

ItemHead choose_item_head(const RunConfig& config, const Sampler& sampler, const Backbone& backbone, StepKind kind) {
  ItemHead out;
  int64_t num_items = 0;
  if (sampler.num_steps(kind) > 0) {
    const Batch group = sampler.batch({.kind = kind}, 0, static_cast<int>(config.batch.groups));
    num_items = group.vocabulary.num_items;
    const bool trained = config.run.train_backbone;
    const double of_backbone = backbone_flops(group, backbone, trained);
    if (of_backbone > 0) out.share = step_flops(group, backbone, {}, trained) / of_backbone - 1;
  }
  out.form = choose_item_softmax(config.optimizer, num_items, out.share);
  return out;
}

}  // namespace cllm
