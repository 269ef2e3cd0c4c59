#include "model/step/batch_tensors.h"

#include <ATen/ops/tensor.h>

#include "dist/device/device.h"
#include "model/nn/packed_layout.h"

namespace cllm {
namespace {

TokenSources split_tokens(const Batch& batch) {
  std::vector<int64_t> word_positions, word_ids, row_positions;
  std::vector<int32_t> rows;
  for (int64_t t = 0; t < batch.num_tokens(); ++t) {
    const int32_t token = batch.token_ids[static_cast<size_t>(t)];
    if (batch.vocabulary.is_word(token)) {
      word_positions.push_back(t);
      word_ids.push_back(token);
    } else {
      row_positions.push_back(t);
      rows.push_back(batch.vocabulary.row_of(token));
    }
  }
  return {at::tensor(word_positions, at::kLong), at::tensor(word_ids, at::kLong), at::tensor(row_positions, at::kLong),
          std::move(rows)};
}

/// Every tensor of the batch through `move`, undefined ones as they are.
template <typename Move>
void for_each_tensor(BatchTensors& batch, const Move& move) {
  auto& [tokens, layout, targets] = batch;
  for (at::Tensor* tensor :
       {&tokens.word_positions, &tokens.word_ids, &tokens.row_positions, &layout.positions_T, &layout.offsets_B1,
        &layout.dropout_keys_T, &layout.output_rows_A, &targets.offsets_A1, &targets.ids_K, &targets.weights_K}) {
    if (tensor->defined()) *tensor = move(*tensor);
  }
}

}  // namespace

BatchTensors make_tensors(const Batch& batch, bool dropout, at::Device device) {
  BatchTensors out{.tokens = split_tokens(batch),
                   .layout = make_layout(batch, at::kCPU, dropout),
                   .targets = {at::tensor(batch.target_offsets, at::kLong), at::tensor(batch.targets, at::kLong),
                               at::tensor(batch.target_weights, at::kDouble)}};
  out.layout.output_rows_A = at::tensor(batch.active_rows, at::kLong);
  for_each_tensor(out, [&](const at::Tensor& tensor) { return staged(tensor, device); });
  return out;
}

BatchTensors upload(const BatchTensors& host, at::Device device) {
  BatchTensors out = host;
  for_each_tensor(out, [&](const at::Tensor& tensor) { return upload(tensor, device); });
  return out;
}

}  // namespace cllm
