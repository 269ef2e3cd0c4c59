#include "model/step/encode.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>

#include "model/kernels/rows/rows.h"

namespace cllm {

at::Tensor embed(const TokenSources& tokens, const at::Tensor& words_ND, const at::Tensor& fetched_UD,
                 const at::Tensor& inverse_T) {
  const int64_t T = tokens.word_positions.size(0) + tokens.row_positions.size(0);
  at::Tensor x_TD = at::empty({T, fetched_UD.size(1)}, fetched_UD.options());
  const at::Tensor words = kernels::gather_rows(words_ND.detach(), tokens.word_ids).to(x_TD.scalar_type());
  kernels::scatter_rows(x_TD, tokens.word_positions, words);
  kernels::scatter_rows(x_TD, tokens.row_positions, kernels::gather_rows(fetched_UD, inverse_T));
  return x_TD;
}

at::Tensor hidden_states(const Backbone& backbone, const PackedLayout& layout, const at::Tensor& x_TD,
                         const Dropout& dropout) {
  if (layout.output_rows_A.size(0) == 0) {
    return at::empty({0, x_TD.size(1)}, x_TD.options().dtype(backbone.text_head().scalar_type()));
  }
  return backbone.forward(x_TD, layout, dropout);
}

at::Tensor encode(RowExchange& exchange, const Backbone& backbone, const Table& table, const Batch& batch) {
  const at::NoGradGuard no_grad;
  const at::Device device = table.weight.device();
  const BatchTensors tensors = upload(make_tensors(batch, /*dropout=*/false, device), device);
  const Route route = exchange.route(tensors.tokens.rows);
  const at::Tensor fetched_UD = exchange.fetch(route, table.rows()).to(table.compute_dtype());
  const at::Tensor x_TD = embed(tensors.tokens, backbone.word_embedding(), fetched_UD, route.inverse_T);
  return hidden_states(backbone, tensors.layout, x_TD, {});
}

}  // namespace cllm
