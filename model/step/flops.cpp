#include "model/step/flops.h"

namespace cllm {

double backbone_flops(const Batch& batch, const Backbone& backbone, bool train_backbone) {
  double pairs = 0;  // (query, key), both halves of a causal mask
  for (size_t b = 1; b < batch.sequence_offsets.size(); ++b) {
    const double n = batch.sequence_offsets[b] - batch.sequence_offsets[b - 1];
    pairs += n * n;
  }
  return backbone.flops(static_cast<double>(batch.num_tokens()), pairs) * (train_backbone ? 3 : 2);
}

double step_flops(const Batch& batch, const Backbone& backbone, const StepConfig& config, bool train_backbone) {
  const auto A = static_cast<double>(batch.active_rows.size()), D = static_cast<double>(backbone.width());
  const bool content = batch.kind == StepKind::kContent,
             sampled = !content && config.item_softmax == ItemSoftmax::kSampled;
  const auto V = static_cast<double>(content   ? batch.vocabulary.num_words
                                     : sampled ? config.negatives
                                               : batch.vocabulary.num_items);
  const double products = !content || train_backbone ? 3 : 2;
  return backbone_flops(batch, backbone, train_backbone) + products * 2 * A * V * D;
}

}  // namespace cllm
