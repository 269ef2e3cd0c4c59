#include "model/step/flops.h"

namespace cllm {

double backbone_flops(const Batch& batch, const Backbone& backbone, bool train_backbone) {
  BatchSizes sizes{.tokens = static_cast<double>(batch.num_tokens())};  // pairs: both halves of a causal mask
  for (size_t b = 0; b + 1 < batch.sequence_offsets.size(); ++b) {
    const double n = batch.sequence_offsets[b + 1] - batch.sequence_offsets[b];
    const double prompt = batch.prompt_lengths.empty() ? n : batch.prompt_lengths[b], main = 1 + n - prompt;
    sizes.pairs += n * n;
    sizes.prompt_tokens += prompt;
    sizes.prompt_pairs += prompt * prompt;
    sizes.main_tokens += main;
    sizes.main_pairs += main * main;
    sizes.pairs_between += main * prompt;
  }
  return backbone.flops_of(sizes) * (train_backbone ? 3 : 2);
}

double head_flops(int64_t positions, int64_t rows, int64_t width, bool trained_head) {
  return (trained_head ? 3 : 2) * 2 * static_cast<double>(positions) * static_cast<double>(rows) *
         static_cast<double>(width);
}

}  // namespace cllm
