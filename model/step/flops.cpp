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

double head_flops(int64_t positions, int64_t rows, int64_t width, bool trained_head) {
  return (trained_head ? 3 : 2) * 2 * static_cast<double>(positions) * static_cast<double>(rows) *
         static_cast<double>(width);
}

}  // namespace cllm
