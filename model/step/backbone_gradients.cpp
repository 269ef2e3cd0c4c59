#include "model/step/backbone_gradients.h"

#include <ATen/ops/zeros_like.h>

#include "model/kernels/softmax/softmax_block.h"
#include "model/step/dense_gradients.h"

namespace cllm {
namespace {

void add_to_gradient(const at::Tensor& parameter, const at::Tensor& gradient) {
  at::Tensor& sum = parameter.mutable_grad();
  if (sum.defined()) {
    sum.add_(gradient);
  } else {
    sum = gradient;
  }
}

}  // namespace

bool is_trainable(const Backbone& backbone) { return backbone.word_embedding().requires_grad(); }

bool sum_backbone_gradients(Communicator& comm, const Backbone& backbone, const TokenSources& tokens,
                            const at::Tensor& x_gradient_TD, const at::Tensor& text_head_gradient) {
  if (!is_trainable(backbone)) return sum_dense_gradients(comm, backbone.trainable());
  if (text_head_gradient.defined()) add_to_gradient(backbone.text_head_parameter(), text_head_gradient);
  at::Tensor words_ND = at::zeros_like(backbone.word_embedding());
  kernels::add_rows(words_ND, tokens.word_ids, x_gradient_TD.index_select(0, tokens.word_positions));
  add_to_gradient(backbone.word_embedding(), words_ND);
  return sum_dense_gradients(comm, backbone.parameters());
}

}  // namespace cllm
