#include "model/recommenders/sasrec/step.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/full.h>
#include <ATen/ops/repeat_interleave.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "dist/device/device.h"
#include "model/kernels/rows/rows.h"
#include "model/kernels/softmax/softmax_block.h"
#include "model/recommenders/sasrec/losses.h"
#include "model/step/dense_gradients.h"

namespace cllm {

/// Leaves of the graph, and what is left of them when the losses have been made.
struct SasrecStep::Rows {
  at::Tensor shown_TD;
  at::Tensor positives_TD, negatives_MD;  // of sampled losses
  at::Tensor hidden_gradient_TD;
  at::Tensor item_head_gradient;  // of the full loss
};

SasrecStep::SasrecStep(const SasrecOptions& options, const Channels& channels, SasrecState& state,
                       const RowOptimizer& optimizer, TwoLevels* levels)
    : options_(options), channels_(channels), state_(state), pipeline_(channels, state.items, optimizer, levels) {}

at::Tensor SasrecStep::sampled_losses(const SasrecInput& input, const at::Tensor& hidden_TD, const Rows& rows) const {
  if (options_.loss == SasrecLoss::kBce) return bce_loss(hidden_TD, rows.positives_TD, rows.negatives_MD);
  const at::Tensor positive_T = (hidden_TD * rows.positives_TD).sum(1);
  const at::Tensor negative_Tk = negative_scores(hidden_TD, rows.negatives_MD, input.sharing);
  if (options_.loss == SasrecLoss::kGbce) {
    return gbce_loss(positive_T, negative_Tk, options_.gbce_beta(state_.items.layout.items().num_rows()));
  }
  const at::Tensor& negatives_Gk = input.negatives_Gk;
  const at::Tensor of_position =  // [T, k], or [1, k] for all of them
      input.sharing.size() == 1 ? negatives_Gk
                                : at::repeat_interleave(negatives_Gk, at::tensor(input.sharing, at::kLong), 0,
                                                        std::optional(hidden_TD.size(0)));
  const at::Tensor hit_Tk = of_position == input.target_T.unsqueeze(1);
  return sampled_loss(positive_T, negative_Tk, upload(hit_Tk, hidden_TD.device()));
}

double SasrecStep::predict(const SasrecInput& input, const at::Tensor& hidden_TD, Rows& rows) {
  const int64_t T = hidden_TD.size(0);
  if (options_.loss == SasrecLoss::kFull) {
    const at::Device device = hidden_TD.device();
    const Targets targets{upload(at::arange(T + 1, at::kLong), device), upload(input.target_T, device),
                          upload(at::full({T}, input.weight, at::kDouble), device)};
    HeadResult head = item_softmax(channels_.softmax, state_.items.layout.items(), ItemSoftmax::kSharded, hidden_TD,
                                   state_.items.items(), targets);
    rows.hidden_gradient_TD = head.hidden_gradient;
    rows.item_head_gradient = head.weight_gradient;
    return head.loss;
  }
  if (T == 0) return 0;
  const at::AutoGradMode with_graph(true);
  const at::Tensor leaf_TD = hidden_TD.detach().requires_grad_(true);
  const at::Tensor loss = sampled_losses(input, leaf_TD, rows) * input.weight;
  loss.backward();
  rows.hidden_gradient_TD = leaf_TD.grad();
  return loss.item<double>();
}

at::Tensor SasrecStep::gradients_of_taken(const TakenRows& taken, const Rows& rows, int64_t T) {
  at::Tensor out_UD = at::zeros_like(taken.rows_UD);
  int64_t first = 0;
  const auto add = [&](const at::Tensor& leaf, int64_t count) {
    if (count > 0) kernels::add_rows(out_UD, taken.route.inverse_T.narrow(0, first, count), leaf.grad().contiguous());
    first += count;
  };
  add(rows.shown_TD, T);
  if (rows.positives_TD.defined()) {
    add(rows.positives_TD, T);
    add(rows.negatives_MD, taken.route.inverse_T.size(0) - first);
  }
  return out_UD;
}

SasrecStep::Losses SasrecStep::gradients(const SasrecInput& input, const std::function<void()>& before_change) {
  const at::NoGradGuard no_grad;
  const at::Device device = state_.items.weight.device();
  const int64_t T = input.target_T.size(0);
  phases_ = {};
  non_finite_ = NonFinite::kNone;
  PhaseTimer timer(phases_, device, /*trace=*/false);

  timer.enter(&PhaseSeconds::lookup);
  TakenRows taken = pipeline_.take(input.rows, before_change);
  const bool full = options_.loss == SasrecLoss::kFull;
  if (full) pipeline_.catch_up_items(before_change);
  const auto leaf = [&](int64_t first, int64_t count) {
    return kernels::gather_rows(taken.rows_UD, taken.route.inverse_T.narrow(0, first, count)).requires_grad_(true);
  };
  Rows rows;
  rows.shown_TD = leaf(0, T);
  if (!full) {
    rows.positives_TD = leaf(T, T);
    rows.negatives_MD = leaf(2 * T, taken.route.inverse_T.size(0) - 2 * T);
  }

  timer.enter(&PhaseSeconds::forward);
  at::Tensor hidden_TD = at::zeros_like(rows.shown_TD);
  if (T > 0) {
    const at::AutoGradMode with_graph(true);
    hidden_TD = state_.encoder.forward(rows.shown_TD, upload(input.histories, device));
  }
  timer.enter(&PhaseSeconds::head);
  double loss = predict(input, hidden_TD.detach(), rows);
  timer.enter(&PhaseSeconds::backward);
  if (T > 0) hidden_TD.backward(rows.hidden_gradient_TD);
  const bool dense_is_finite = sum_dense_gradients(channels_.world, state_.encoder.parameters());
  timer.enter(&PhaseSeconds::give_back);
  const at::Tensor gradients_UD = gradients_of_taken(taken, rows, T);
  pipeline_.give_back(std::move(taken), gradients_UD, rows.item_head_gradient);

  if (!std::isfinite(loss)) {
    non_finite_ = NonFinite::kLoss;
  } else if (!dense_is_finite) {
    non_finite_ = NonFinite::kBackboneGradients;
  }
  at::Tensor sums = at::tensor({loss, static_cast<double>(input.num_sequences), static_cast<double>(T)}, at::kDouble);
  channels_.world.all_reduce(sums, ReduceOp::kSum);
  return {sums[0].item<double>(), sums[1].item<int64_t>(), sums[2].item<int64_t>()};
}

void SasrecStep::update(double learning_rate, const std::function<void()>& before_change) {
  PhaseTimer timer(phases_, state_.items.weight.device(), /*trace=*/false);
  timer.enter(&PhaseSeconds::update);
  const at::Tensor sum = pipeline_.settle(learning_rate, before_change);
  state_.dense.step(learning_rate);
  if (non_finite_ == NonFinite::kNone && !is_finite(sum)) non_finite_ = NonFinite::kRowGradients;
}

void SasrecStep::drop() {
  pipeline_.collect();
  for (const auto& [name, parameter] : state_.encoder.parameters()) parameter.mutable_grad() = at::Tensor();
}

at::Tensor SasrecStep::hidden(const std::vector<std::vector<int32_t>>& histories) {
  const at::NoGradGuard no_grad;
  const at::Device device = state_.items.weight.device();
  std::vector<int32_t> shown;
  std::vector<int64_t> lengths, last, place;
  for (size_t n = 0; n < histories.size(); ++n) {
    const auto length = std::min(static_cast<int64_t>(histories[n].size()), options_.max_length);
    if (length == 0) continue;
    shown.insert(shown.end(), histories[n].end() - length, histories[n].end());
    lengths.push_back(length);
    last.push_back(static_cast<int64_t>(shown.size()) - 1);
    place.push_back(static_cast<int64_t>(n));
  }
  const TakenRows read = pipeline_.read(shown);
  at::Tensor out_BD = at::zeros({static_cast<int64_t>(histories.size()), state_.items.width()}, read.rows_UD.options());
  if (shown.empty()) return out_BD;
  const at::Tensor rows_TD = kernels::gather_rows(read.rows_UD, read.route.inverse_T).to(at::kDouble);
  const at::Tensor hidden_TD =
      state_.encoder.forward(rows_TD, upload(make_histories(lengths, options_.max_length, {}), device));
  kernels::scatter_rows(
      out_BD, upload(at::tensor(place, at::kLong), device),
      kernels::gather_rows(hidden_TD, upload(at::tensor(last, at::kLong), device)).to(out_BD.scalar_type()));
  return out_BD;
}

}  // namespace cllm
