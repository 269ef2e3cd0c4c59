#include "model/backbones/encoder_decoder/decoder_tokens.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/tensor.h>

#include "dist/device/device.h"
#include "model/errors.h"

namespace cllm {

DecoderTokens::DecoderTokens(const PackedLayout& layout) {
  if (std::ssize(layout.prompts) != layout.num_sequences() || !layout.output_rows_A.defined())
    throw ModelError("an encoder and a decoder need to know where prompts end and which tokens predict");
  std::vector<int64_t> prompts, mains, read, written, predicting;
  std::vector<int64_t> place(static_cast<size_t>(layout.num_tokens()), 0);  // of a token's state in the decoder
  for (size_t b = 0; b < layout.prompts.size(); ++b) {
    const int64_t first = layout.offsets[b], end = layout.offsets[b + 1], main = first + layout.prompts[b];
    if (main <= first || main > end) throw ModelError("a prompt for an encoder needs at least one token");
    prompts.push_back(main - first);
    mains.push_back(1 + end - main);
    for (int64_t t = first; t < main; ++t) read.push_back(t);
    for (int64_t t = main - 1; t < end; ++t) {
      place[static_cast<size_t>(t)] = std::ssize(written);
      written.push_back(t < main ? layout.num_tokens() : t);
      predicting.push_back(t);
    }
  }
  const at::Device device = layout.positions_T.device();
  const auto there = [&](const std::vector<int64_t>& values) { return upload(at::tensor(values, at::kLong), device); };
  encoder = make_layout(prompts, device);
  decoder = make_layout(mains, device);
  encoder_rows_e = there(read);
  decoder_rows_d = there(written);
  outputs_A = there(place).index_select(0, layout.output_rows_A);
  if (!layout.dropout_keys_T.defined()) return;
  encoder.dropout_keys_T = layout.dropout_keys_T.index_select(0, encoder_rows_e);
  decoder.dropout_keys_T = layout.dropout_keys_T.index_select(0, there(predicting));
}

at::Tensor relative_buckets(const T5Config& config, int64_t n, bool both_ways) {
  at::Tensor out = at::empty({n, n}, at::kLong);
  std::vector<int64_t> of_distance;
  for (int64_t distance = 1 - n; distance < n; ++distance)
    of_distance.push_back(relative_bucket(config, distance, both_ways));
  auto* bucket = out.mutable_data_ptr<int64_t>();
  for (int64_t query = 0; query < n; ++query) {
    for (int64_t key = 0; key < n; ++key) *bucket++ = of_distance[static_cast<size_t>(key - query + n - 1)];
  }
  return out;
}

}  // namespace cllm
