#include "model/recommenders/word_step.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros_like.h>

#include <cmath>

#include "model/kernels/compute_dtype.h"
#include "model/step/backbone_gradients.h"
#include "model/step/encode.h"

namespace cllm {

at::Tensor word_inputs(const Backbone& backbone, const TokenSources& tokens) {
  const at::Tensor& words_ND = backbone.word_embedding();
  const at::Tensor none_0D = at::empty(
      {0, backbone.width()}, words_ND.options().dtype(residual_dtype(words_ND.scalar_type())).requires_grad(false));
  return embed(tokens, words_ND, none_0D, at::empty({0}, none_0D.options().dtype(at::kLong)));
}

WordLoss word_loss(Communicator& world, const Backbone& backbone, const BatchTensors& tensors, const Dropout& dropout,
                   const std::function<HeadResult(const at::Tensor& hidden_AD)>& head) {
  const at::NoGradGuard no_grad;
  const at::Tensor x_TD = word_inputs(backbone, tensors.tokens);
  at::Tensor hidden_AD;
  {
    const at::AutoGradMode with_graph(true);
    hidden_AD = hidden_states(backbone, tensors.layout, x_TD.requires_grad_(true), dropout);
  }
  const HeadResult result = head(hidden_AD.detach());
  if (hidden_AD.size(0) > 0) hidden_AD.backward(result.hidden_gradient);
  const at::Tensor x_gradient_TD = x_TD.grad().defined() ? x_TD.grad() : at::zeros_like(x_TD);
  const bool finite = sum_backbone_gradients(world, backbone, tensors.tokens, x_gradient_TD, result.weight_gradient);
  return {result.loss, !std::isfinite(result.loss) ? NonFinite::kLoss
                       : finite                    ? NonFinite::kNone
                                                   : NonFinite::kBackboneGradients};
}

StepLosses move_words(Communicator& world, DenseAdam& adam, const StepLosses& mine, const StepSettings& settings,
                      double clip, double learning_rate) {
  at::Tensor sums = at::tensor(
      {mine.loss, static_cast<double>(mine.num_sequences), static_cast<double>(mine.num_tokens)}, at::kDouble);
  world.all_reduce(sums, ReduceOp::kSum);
  settings.before_change();
  if (clip > 0) adam.clip_gradients(clip);
  adam.step(learning_rate);
  return {sums[0].item<double>(), {}, sums[1].item<int64_t>(), sums[2].item<int64_t>()};
}

}  // namespace cllm
