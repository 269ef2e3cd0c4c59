#include "model/encode.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>

#include "dist/device.h"
#include "model/kernels/rows.h"
#include "model/packed_layout.h"

namespace cllm {

TokenSources split_tokens(const Batch& batch, at::Device device) {
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
  const auto on_device = [&](const std::vector<int64_t>& values) { return upload(at::tensor(values, at::kLong), device); };
  return {on_device(word_positions), on_device(word_ids), on_device(row_positions), std::move(rows)};
}

at::Tensor embed(const TokenSources& tokens, const at::Tensor& words_ND, const at::Tensor& fetched_UD,
                 const at::Tensor& inverse_T) {
  const int64_t T = tokens.word_positions.size(0) + tokens.row_positions.size(0);
  at::Tensor x_TD = at::empty({T, fetched_UD.size(1)}, fetched_UD.options());
  x_TD.index_copy_(0, tokens.word_positions, kernels::gather_rows(words_ND.detach(), tokens.word_ids).to(x_TD.scalar_type()));
  x_TD.index_copy_(0, tokens.row_positions, kernels::gather_rows(fetched_UD, inverse_T));
  return x_TD;
}

at::Tensor hidden_states(const Backbone& backbone, const Batch& batch, const at::Tensor& x_TD, const Dropout& dropout) {
  const auto A = static_cast<int64_t>(batch.active_rows.size());
  if (A == 0) return at::empty({0, x_TD.size(1)}, x_TD.options().dtype(backbone.text_head().scalar_type()));
  const bool drops = dropout.embedding > 0 || dropout.attention > 0 || dropout.residual > 0;
  PackedLayout layout = make_layout(batch, x_TD.device(), drops);
  layout.output_rows_A = upload(at::tensor(batch.active_rows, at::kLong), x_TD.device());
  return backbone.forward(x_TD, layout, dropout);
}

at::Tensor encode(RowExchange& exchange, const Backbone& backbone, const Table& table, const Batch& batch) {
  const at::NoGradGuard no_grad;
  const TokenSources tokens = split_tokens(batch, table.weight.device());
  const Route route = exchange.route(tokens.rows);
  const at::Tensor fetched_UD = exchange.fetch(route, table.weight).to(table.compute_dtype());
  const at::Tensor x_TD = embed(tokens, backbone.word_embedding(), fetched_UD, route.inverse_T);
  return hidden_states(backbone, batch, x_TD, {});
}

}  // namespace cllm
