#include "model/recommenders/multi_vae/step.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <cmath>
#include <utility>

#include "dist/device/device.h"
#include "model/kernels/softmax/softmax_block.h"
#include "model/step/dense_gradients.h"

namespace cllm {
namespace {

/// sum over a user's items of value times the item's row: [B, H].
at::Tensor weighted_sums(int64_t B, const TakenRows& taken, const at::Tensor& user_K, const at::Tensor& value_K) {
  at::Tensor out_BH = at::zeros({B, taken.rows_UD.size(1)}, taken.rows_UD.options());
  kernels::add_scaled_rows(out_BH, user_K, {taken.rows_UD, taken.route.inverse_T, value_K});
  return out_BH;
}

}  // namespace

void show_items(std::span<const int32_t> items, double scale, int64_t user, std::vector<int32_t>& items_K,
                std::vector<int64_t>& user_K, std::vector<double>& value_K) {
  items_K.insert(items_K.end(), items.begin(), items.end());
  user_K.insert(user_K.end(), items.size(), user);
  value_K.insert(value_K.end(), items.size(), scale);
}

MultiVaeStep::MultiVaeStep(const Channels& channels, MultiVaeState& state, const RowOptimizer& optimizer,
                           TwoLevels* levels)
    : channels_(channels), state_(state), encoder_(channels, state.encoder, optimizer, levels),
      decoder_(channels, state.decoder, optimizer, levels) {}

MultiVaeStep::Losses MultiVaeStep::gradients(const MultiVaeInput& input, double beta,
                                             const std::function<void()>& before_change) {
  const at::NoGradGuard no_grad;
  const at::Device device = state_.encoder.weight.device();
  phases_ = {};
  non_finite_ = NonFinite::kNone;
  PhaseTimer timer(phases_, device, /*trace=*/false);

  timer.enter(&PhaseSeconds::lookup);
  TakenRows shown = encoder_.take(input.items_K, before_change);
  TakenRows none = decoder_.take({}, before_change);
  decoder_.catch_up_items(before_change);
  const at::Tensor user_K = upload(input.user_K, device), value_K = upload(input.value_K, device);

  timer.enter(&PhaseSeconds::forward);
  const at::Tensor pre_BH = weighted_sums(input.num_sequences, shown, user_K, value_K).requires_grad_(true);
  MultiVaeNetwork::Output out;
  {
    const at::AutoGradMode with_graph(true);
    out = state_.network.train(pre_BH, upload(input.noise_BZ, device));
  }

  timer.enter(&PhaseSeconds::head);
  const Targets targets{upload(input.targets.offsets_A1, device), upload(input.targets.ids_K, device),
                        upload(input.targets.weights_K, device)};
  const HeadResult head = item_softmax(channels_.softmax, state_.decoder.layout.items(), ItemSoftmax::kSharded,
                                       out.hidden_BH1.detach(), state_.decoder.items(), targets);

  timer.enter(&PhaseSeconds::backward);
  {
    const at::AutoGradMode with_graph(true);
    ((out.hidden_BH1 * head.hidden_gradient).sum() + out.kl * (beta * input.weight)).backward();
  }
  const bool dense_is_finite = sum_dense_gradients(channels_.world, state_.network.parameters());

  timer.enter(&PhaseSeconds::give_back);
  at::Tensor gradients_UH = at::zeros_like(shown.rows_UD);
  kernels::add_scaled_rows(gradients_UH, shown.route.inverse_T, {pre_BH.grad(), user_K, value_K});
  encoder_.give_back(std::move(shown), gradients_UH);
  const at::Tensor no_gradients = at::zeros_like(none.rows_UD);
  decoder_.give_back(std::move(none), no_gradients, head.weight_gradient);

  const double kl = out.kl.item<double>() * input.weight;
  if (!std::isfinite(head.loss + kl)) {
    non_finite_ = NonFinite::kLoss;
  } else if (!dense_is_finite) {
    non_finite_ = NonFinite::kBackboneGradients;
  }
  at::Tensor sums = at::tensor(
      {head.loss, kl, static_cast<double>(input.num_sequences), static_cast<double>(input.num_tokens)}, at::kDouble);
  channels_.world.all_reduce(sums, ReduceOp::kSum);
  return {sums[0].item<double>(), sums[1].item<double>(), sums[2].item<int64_t>(), sums[3].item<int64_t>()};
}

void MultiVaeStep::update(double learning_rate, const std::function<void()>& before_change) {
  PhaseTimer timer(phases_, state_.encoder.weight.device(), /*trace=*/false);
  timer.enter(&PhaseSeconds::update);
  const at::Tensor sum = encoder_.settle(learning_rate, before_change) + decoder_.settle(learning_rate, before_change);
  state_.dense.step(learning_rate);
  if (non_finite_ == NonFinite::kNone && !is_finite(sum)) non_finite_ = NonFinite::kRowGradients;
}

void MultiVaeStep::drop() {
  encoder_.collect();
  decoder_.collect();
  for (const auto& [name, parameter] : state_.network.parameters()) parameter.mutable_grad() = at::Tensor();
}

void MultiVaeStep::flush(const std::function<void()>& before_change) {
  encoder_.flush(before_change);
  decoder_.flush(before_change);
}

at::Tensor MultiVaeStep::hidden(const std::vector<std::vector<int32_t>>& items_of_user) {
  const at::NoGradGuard no_grad;
  const at::Device device = state_.encoder.weight.device();
  const auto B = static_cast<int64_t>(items_of_user.size());
  std::vector<int32_t> items_K;
  std::vector<int64_t> user_K;
  std::vector<double> value_K;
  for (int64_t user = 0; user < B; ++user) {
    const auto& items = items_of_user[static_cast<size_t>(user)];
    show_items(items, 1 / std::sqrt(static_cast<double>(items.size())), user, items_K, user_K, value_K);
  }
  const at::ScalarType dtype = state_.encoder.compute_dtype();
  const at::Tensor pre_BH = weighted_sums(B, encoder_.read(items_K), upload(at::tensor(user_K, at::kLong), device),
                                          upload(at::tensor(value_K, at::kDouble).to(dtype), device));
  return state_.network.infer(pre_BH).to(dtype);
}

}  // namespace cllm
