#include "model/recommenders/cllm4rec/item_head.h"

#include "model/step/flops.h"

namespace cllm {

double step_flops(const RecBatch& batch, const Backbone& backbone, const StepConfig& config, bool train_backbone) {
  const bool content = batch.kind == StepKind::kContent;
  const bool sampled = !content && config.item_softmax == ItemSoftmax::kSampled;
  const int64_t words = config.predicted_words > 0 ? config.predicted_words : batch.vocabulary.num_words;
  const int64_t rows = content ? words : sampled ? config.negatives : batch.vocabulary.num_items;
  return backbone_flops(batch, backbone, train_backbone) +
         head_flops(std::ssize(batch.active_rows), rows, backbone.width(), !content || train_backbone);
}

ItemSoftmax choose_item_softmax(const Cllm4recOptions& options, int64_t num_items, double share) {
  const bool worth_it = share > 1 && num_items / kItemsPerNegative >= options.negatives;
  switch (options.item_softmax) {
    case ItemSoftmaxChoice::kSharded: return ItemSoftmax::kSharded;
    case ItemSoftmaxChoice::kGathered: return ItemSoftmax::kGathered;
    case ItemSoftmaxChoice::kSampled: return ItemSoftmax::kSampled;
    case ItemSoftmaxChoice::kAuto: break;
  }
  if (options.objective.is_soft()) return ItemSoftmax::kSharded;
  return worth_it ? ItemSoftmax::kSampled : ItemSoftmax::kSharded;
}

ItemHead choose_item_head(const Cllm4recOptions& options, const Sampler& sampler, const Backbone& backbone,
                          StepKind kind) {
  ItemHead out;
  int64_t num_items = 0;
  if (sampler.num_steps(kind) > 0) {
    const RecBatch group = sampler.batch({.kind = kind}, 0, static_cast<int>(options.groups));
    num_items = group.vocabulary.num_items;
    const bool trained = options.train_backbone;
    const double of_backbone = backbone_flops(group, backbone, trained);
    if (of_backbone > 0) out.share = step_flops(group, backbone, {}, trained) / of_backbone - 1;
  }
  out.form = choose_item_softmax(options, num_items, out.share);
  return out;
}

}  // namespace cllm
