#include "model/step/encode.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>

#include "model/kernels/rows/rows.h"
#include "model/step/mean_of_rows.h"

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

at::Tensor hidden_states(const Backbone& backbone, const BatchTensors& tensors, const at::Tensor& x_TD,
                         const Dropout& dropout, double skip) {
  const at::Tensor hidden_AD = hidden_states(backbone, tensors.layout, x_TD, dropout);
  if (skip == 0 || hidden_AD.size(0) == 0) return hidden_AD;
  const at::Tensor mean_AD = mean_of_rows(tensors.tokens, tensors.layout, x_TD, dropout.embedding);
  return hidden_AD + (mean_AD * skip).to(hidden_AD.scalar_type());
}

at::Tensor encode(RowExchange& exchange, const Backbone& backbone, const Table& table, const Batch& batch,
                  double skip) {
  const at::NoGradGuard no_grad;
  const at::Device device = table.weight.device();
  const BatchTensors tensors = upload(make_tensors(batch, /*dropout=*/false, device), device);
  const Route route = exchange.route(tensors.tokens.rows);
  const at::Tensor fetched_UD = exchange.fetch(route, table.rows()).to(table.compute_dtype());
  const at::Tensor x_TD = embed(tensors.tokens, backbone.word_embedding(), fetched_UD, route.inverse_T);
  return hidden_states(backbone, tensors, x_TD, {}, skip);
}

}  // namespace cllm
