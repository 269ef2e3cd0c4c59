#include "model/nn/packed_layout.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

#include "data/random.h"
#include "dist/device/device.h"
#include "model/kernels/rows/rows.h"
#include "model/nn/differentiable.h"

namespace cllm {
namespace {

PackedLayout layout_of(std::vector<int64_t> offsets, at::Device device) {
  PackedLayout layout;
  layout.offsets = std::move(offsets);
  at::Tensor positions = at::empty({layout.num_tokens()}, at::kLong);
  at::Tensor offsets32 = at::empty({layout.num_sequences() + 1}, at::kInt);
  auto* position = positions.mutable_data_ptr<int64_t>();
  auto* offset = offsets32.mutable_data_ptr<int32_t>();
  for (int64_t b = 0; b < layout.num_sequences(); ++b) {
    const int64_t length = layout.offsets[b + 1] - layout.offsets[b];
    for (int64_t t = 0; t < length; ++t) position[layout.offsets[b] + t] = t;
    offset[b + 1] = static_cast<int32_t>(layout.offsets[b + 1]);
    layout.longest = std::max(layout.longest, length);
  }
  offset[0] = 0;
  layout.positions_T = upload(positions, device);
  layout.offsets_B1 = upload(offsets32, device);
  return layout;
}

/// Backward knows that the rows are distinct.
struct PickedRows : Differentiable {
  int64_t num_rows;
  explicit PickedRows(int64_t T) : num_rows(T) {}

  Tensors forward(const Tensors& x_and_rows, Tensors& saved) const override {
    saved = {x_and_rows[1]};
    return {kernels::gather_rows(x_and_rows[0], x_and_rows[1])};
  }
  Tensors backward(const Saved& saved, const Tensors& gradients) const override {
    at::Tensor x_gradient_TD = at::zeros({num_rows, gradients[0].size(1)}, gradients[0].options());
    kernels::scatter_rows(x_gradient_TD, saved.tensors[0], gradients[0].contiguous());
    return {x_gradient_TD, {}};
  }
};

}  // namespace

PackedLayout make_layout(const Batch& batch, at::Device device, bool dropout) {
  PackedLayout layout = layout_of({batch.sequence_offsets.begin(), batch.sequence_offsets.end()}, device);
  layout.prompts = {batch.prompt_lengths.begin(), batch.prompt_lengths.end()};
  if (!dropout) return layout;
  at::Tensor keys = at::empty({layout.num_tokens()}, at::kLong);
  auto* key = keys.mutable_data_ptr<int64_t>();
  for (int64_t b = 0; b < layout.num_sequences(); ++b) {
    layout.dropout_seed = mix64(layout.dropout_seed ^ batch.sequence_keys[b]);
    for (int64_t t = layout.offsets[b]; t < layout.offsets[b + 1]; ++t) {
      key[t] = static_cast<int64_t>(mix64(batch.sequence_keys[b] + static_cast<uint64_t>(t - layout.offsets[b])));
    }
  }
  layout.dropout_keys_T = upload(keys, device);
  return layout;
}

PackedLayout make_layout(const std::vector<int64_t>& lengths, at::Device device) {
  std::vector<int64_t> offsets{0};
  for (const int64_t length : lengths) offsets.push_back(offsets.back() + length);
  return layout_of(std::move(offsets), device);
}

at::Tensor pick_rows(const at::Tensor& x_TD, const at::Tensor& rows_A) {
  return apply(PickedRows(x_TD.size(0)), {x_TD.contiguous(), rows_A})[0];
}

}  // namespace cllm
