#include "model/recommenders/cllm4rec/train_step.h"

// Letters: T tokens, A predicting positions, K targets, D width, U unique rows asked for, M touched rows of this rank's
// shard.

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "dist/device/device.h"
#include "model/kernels/rows/rows.h"
#include "model/kernels/softmax/softmax_block.h"
#include "model/losses/mutual_regularisation.h"
#include "model/losses/sampled_softmax.h"
#include "model/step/backbone_gradients.h"
#include "model/step/dense_gradients.h"
#include "model/step/encode.h"
#include "model/step/row_pipeline.h"

namespace cllm {
namespace {

template <typename Work>
at::Tensor with_graph(Work&& work) {
  const at::AutoGradMode enabled(true);
  return work();
}

/// The tensors of a step, in its order, that are looked at when a sum of them is not finite.
struct Seen {
  at::Tensor own_ND, other_ND, input_TD, hidden_AD;
};

/// Numbers of a step in its order; sums are finite if what they are the sums of is.
struct Numbers {
  double loss, input_gradients, mr;
  bool backbone_is_finite;
};

NonFinite first_non_finite(const Seen& seen, const Numbers& numbers) {
  if (!std::isfinite(numbers.loss) || !std::isfinite(numbers.input_gradients)) {
    return !is_finite(seen.own_ND) || !is_finite(seen.other_ND) ? NonFinite::kTableRows
           : !is_finite(seen.input_TD)                          ? NonFinite::kInputRows
           : !is_finite(seen.hidden_AD)                         ? NonFinite::kHiddenStates
           : !std::isfinite(numbers.loss)                       ? NonFinite::kLoss
                                                                : NonFinite::kInputGradients;
  }
  if (!numbers.backbone_is_finite) return NonFinite::kBackboneGradients;
  return std::isfinite(numbers.mr) ? NonFinite::kNone : NonFinite::kRowGradients;
}

/// Two numbers of a device on the host; it waits for them once.
std::pair<double, double> to_host(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor both = at::stack({a.to(at::kDouble), b.to(at::kDouble)}).cpu();
  return {both[0].item<double>(), both[1].item<double>()};
}

bool is_sampled(const RecBatch& batch, const StepConfig& config) {
  return batch.kind != StepKind::kContent && config.item_softmax == ItemSoftmax::kSampled;
}

/// The rows of the trained side that a step asks for: those of its tokens and, for a sampled softmax, of the negatives
/// and the targets.
struct AskedRows {
  std::vector<int32_t> rows;
  int64_t num_tokens = 0, num_negatives = 0, num_targets = 0;
};

AskedRows rows_to_ask(const RecBatch& batch, const std::vector<int32_t>& of_tokens, const StepConfig& config,
                      bool sampled) {
  AskedRows asked{of_tokens, static_cast<int64_t>(of_tokens.size())};
  if (!sampled) return asked;
  const auto first_item = static_cast<int32_t>(batch.vocabulary.num_users);
  const std::vector<int32_t> negatives =
      draw_negatives(batch.vocabulary.num_items, config.negatives, config.negative_key);
  for (const int32_t item : negatives) asked.rows.push_back(first_item + item);
  for (const auto item : batch.targets) asked.rows.push_back(first_item + static_cast<int32_t>(item));
  asked.num_negatives = static_cast<int64_t>(negatives.size());
  asked.num_targets = static_cast<int64_t>(batch.targets.size());
  return asked;
}

/// The sampled softmax over the fetched rows. Its rows' gradients, negatives first, are in weight_gradient: [S + K, D].
HeadResult sampled_head(const at::Tensor& hidden_AD, const at::Tensor& fetched_UD, const Route& route,
                        const AskedRows& asked, const RecBatch& batch, const Targets& targets) {
  const auto rows_of = [&](int64_t first, int64_t count) {
    return kernels::gather_rows(fetched_UD, route.inverse_T.narrow(0, first, count));
  };
  const int64_t S = asked.num_negatives;
  std::vector<int64_t> items(asked.rows.begin() + asked.num_tokens, asked.rows.begin() + asked.num_tokens + S);
  for (int64_t& item : items) item -= batch.vocabulary.num_users;
  const SampledRows rows{upload(at::tensor(items, at::kLong), fetched_UD.device()), rows_of(asked.num_tokens, S),
                         rows_of(asked.num_tokens + S, asked.num_targets),
                         std::log(static_cast<double>(S) / static_cast<double>(batch.vocabulary.num_items))};
  const SampledResult result = sampled_softmax(hidden_AD, rows, targets);
  return {result.loss, result.hidden_gradient, at::cat({result.negative_gradient, result.target_gradient})};
}

}  // namespace

/// What a step reads of the trained side.
struct TrainStep::Lookup {
  BatchTensors tensors;
  AskedRows asked;
  Route route;
  at::Tensor fetched_UD;
};

/// The lookup of a step that comes next, begun before the update of the one now.
struct TrainStep::Ahead {
  const RecBatch* batch;
  Lookup lookup;
  Arriving arriving;
};

/// What a step leaves to do when its gradients are on their way.
struct TrainStep::Unfinished {
  StepKind kind{};
  Route route;
  Returning returning;
  at::Tensor item_head_gradient;  // undefined: the softmax trains no items
  CoveredShard covered;           // by mutual regularisation; without rows: it is off
  double lambda = 0, learning_rate = 0;
};

TrainStep::TrainStep(const Channels& channels, RecModel& model, const RowOptimizer& optimizer, TwoLevels* levels)
    : channels_(channels), model_(model), optimizer_(optimizer),
      exchange_(make_row_exchange(channels, levels, model.collaborative)) {}

TrainStep::~TrainStep() = default;

TrainStep::Lookup TrainStep::ask(const RecBatch& batch, const StepConfig& config, SortOn sort_on) {
  const at::Device device = trained(batch.kind).weight.device();
  Lookup out;
  out.tensors = upload(
      config.tensors != nullptr ? *config.tensors : make_tensors(batch, config.dropout.active(), device), device);
  out.asked = rows_to_ask(batch, out.tensors.tokens.rows, config, is_sampled(batch, config));
  out.route = exchange_.route(out.asked.rows, sort_on);
  return out;
}

TrainStep::Lookup TrainStep::look_up(const RecBatch& batch, const StepConfig& config) {
  if (ahead_) {
    TORCH_CHECK(ahead_->batch == &batch, "another step was announced");
    return std::move(std::exchange(ahead_, nullptr)->lookup);
  }
  Lookup out = ask(batch, config, SortOn::kDevice);
  Table& own = trained(batch.kind);
  optimizer_.catch_up(own, out.route.touched_local_M);
  out.fetched_UD = exchange_.fetch(out.route, own.weight).to(own.compute_dtype());
  return out;
}

/// Sends the rows of `lookup`, which is that of the next step, on their way, but for those that the update of `now`
/// moves.
std::unique_ptr<TrainStep::Ahead> TrainStep::start(const RecBatch& next, Lookup lookup, StepKind now) {
  Table& read = trained(next.kind);
  if (&read != &trained(now)) optimizer_.catch_up(read, lookup.route.touched_local_M);
  Arriving arriving = exchange_.start_fetch(lookup.route, read.weight, rows_that_move(now, next.kind));
  return std::make_unique<Ahead>(Ahead{&next, std::move(lookup), std::move(arriving)});
}

/// Local rows of the side that `next` reads which the update of `now` moves. Dense Adam moves all rows of a table by
/// every update.
std::vector<int64_t> TrainStep::rows_that_move(StepKind now, StepKind next) const {
  if ((now == StepKind::kContent) != (next == StepKind::kContent)) return {};
  const TableLayout& layout = model_.collaborative.layout;
  const bool all = optimizer_.moves_absent_rows();
  const int64_t first = all          ? 0
                        : all_items_ ? layout.num_local_users()
                                     : layout.num_local_rows();  // these and all behind them
  std::vector<int64_t> rows(touched_.begin(), std::lower_bound(touched_.begin(), touched_.end(), first));
  for (int64_t row = first; row < layout.num_local_rows(); ++row) rows.push_back(row);
  return rows;
}

/// Whether the step that is computed trains all these local rows, which are ascending.
bool TrainStep::trains(const std::vector<int64_t>& rows) const {
  const TableLayout& layout = model_.collaborative.layout;
  const auto end =
      std::lower_bound(rows.begin(), rows.end(), all_items_ ? layout.num_local_users() : layout.num_local_rows());
  return std::includes(touched_.begin(), touched_.end(), rows.begin(), end);
}

HeadResult TrainStep::predict(const RecBatch& batch, const StepConfig& config, const Lookup& lookup,
                              const at::Tensor& hidden_AD) {
  const Backbone& backbone = *model_.backbone;
  const Table& own = trained(batch.kind);
  const Targets& targets = lookup.tensors.targets;
  if (batch.kind == StepKind::kContent) {
    return text_softmax(hidden_AD, backbone.text_head().detach(), targets, is_trainable(backbone));
  }
  if (is_sampled(batch, config))
    return sampled_head(hidden_AD, lookup.fetched_UD, lookup.route, lookup.asked, batch, targets);
  return item_softmax(channels_.softmax, own.layout.items(), config.item_softmax, hidden_AD, own.items(), targets);
}

at::Tensor TrainStep::gradients_of_asked(const Lookup& lookup, const at::Tensor& x_gradient_TD,
                                         const at::Tensor& sampled_gradient) {
  const auto& [tensors, asked, route, fetched_UD] = lookup;
  at::Tensor out_UD = at::zeros_like(fetched_UD);
  kernels::add_rows(out_UD, route.inverse_T.narrow(0, 0, asked.num_tokens),
                    x_gradient_TD.index_select(0, tensors.tokens.row_positions));
  if (sampled_gradient.defined()) {
    const int64_t rest = asked.num_negatives + asked.num_targets;
    kernels::add_rows(out_UD, route.inverse_T.narrow(0, asked.num_tokens, rest), sampled_gradient);
  }
  return out_UD;
}

RecLosses TrainStep::gradients(const RecBatch& batch, const StepConfig& config, kernels::RowGradient& out) {
  Unfinished rest;
  const RecLosses losses = compute(batch, config, nullptr, rest);
  out = finish(rest);
  return losses;
}

/// The rows that mutual regularisation ties together, up to date on both sides.
CoveredShard TrainStep::covered_rows(const RecBatch& batch) {
  Table &own = trained(batch.kind), &other = fixed(batch.kind);
  CoveredShard covered =
      exchange_covered(channels_.exchange, own.layout, batch.mr, batch.num_groups, own.weight.device());
  TORCH_CHECK(trains(covered.rows), "mutual regularisation covers a row that no sequence of the step reads");
  optimizer_.catch_up(own, covered.rows_C);
  optimizer_.catch_up(other, covered.rows_C);
  return covered;
}

/// All but finish(). What is left of the step before and the lookup of the next one are done while a GPU has the
/// forward pass to do: the host is free, and rows travel beneath the head and the backward pass.
RecLosses TrainStep::compute(const RecBatch& batch, const StepConfig& config, const NextBatch* next, Unfinished& rest) {
  const at::NoGradGuard no_grad;
  const bool items_predict_items = batch.kind != StepKind::kContent;
  Backbone& backbone = *model_.backbone;
  Table& own = trained(batch.kind);
  const TableLayout& layout = own.layout;
  phases_ = {};
  PhaseTimer timer(phases_, own.weight.device(), config.trace);

  timer.enter(&PhaseSeconds::lookup);
  if (optimizer_.moves_absent_rows()) config.before_change();  // rows are brought up to date before they are read
  const bool sampled = is_sampled(batch, config), exact_items = items_predict_items && !sampled;
  Lookup lookup = look_up(batch, config);
  const auto& [tensors, asked, route, fetched_UD] = lookup;
  if (exact_items) {
    optimizer_.catch_up(own,
                        at::arange(layout.num_local_users(), layout.num_local_rows(), route.touched_local_M.options()));
  }
  const at::Tensor x_TD =
      embed(tensors.tokens, backbone.word_embedding(), fetched_UD, route.inverse_T.narrow(0, 0, asked.num_tokens));
  timer.enter(&PhaseSeconds::forward);

  const at::Tensor hidden_AD =
      with_graph([&] { return hidden_states(backbone, tensors.layout, x_TD.requires_grad_(true), config.dropout); });
  timer.enter(&PhaseSeconds::update);

  Lookup of_next;  // the host sorts and sends ids before it has to wait for the forward pass
  if (next != nullptr) of_next = ask(next->batch, next->config, SortOn::kHost);
  settle(config.before_change);  // of the other side: nothing before this line reads its rows
  touched_ = (route.beyond ? *route.beyond : route).distinct;
  all_items_ = exact_items;
  if (next != nullptr) ahead_ = start(next->batch, std::move(of_next), batch.kind);
  timer.enter(&PhaseSeconds::head);

  const HeadResult head = predict(batch, config, lookup, hidden_AD.detach());
  timer.enter(&PhaseSeconds::backward);

  if (hidden_AD.size(0) > 0) hidden_AD.backward(head.hidden_gradient);
  const at::Tensor x_gradient_TD = x_TD.grad().defined() ? x_TD.grad() : at::zeros_like(x_TD);
  const bool backbone_is_finite =
      !is_trainable(backbone) || sum_backbone_gradients(channels_.world, backbone, tensors.tokens, x_gradient_TD,
                                                        items_predict_items ? at::Tensor() : head.weight_gradient);
  timer.enter(&PhaseSeconds::give_back);

  const at::Tensor gradients_UD =
      gradients_of_asked(lookup, x_gradient_TD, sampled ? head.weight_gradient : at::Tensor());
  rest.kind = batch.kind;
  rest.learning_rate = config.learning_rate;
  rest.returning = exchange_.start_return(route, gradients_UD);
  if (exact_items) rest.item_head_gradient = head.weight_gradient;
  timer.enter(&PhaseSeconds::mr);

  at::Tensor mr_of_shard = at::zeros({}, gradients_UD.options().dtype(at::kDouble));
  if (config.lambda != 0 || config.report_mr) {
    rest.covered = covered_rows(batch);
    rest.lambda = config.lambda;
    mr_of_shard = regulariser(rest.covered, own, fixed(batch.kind));
  }
  const auto [mr, input_gradients] = to_host(mr_of_shard, gradients_UD.sum());
  non_finite_ = first_non_finite({own.weight, fixed(batch.kind).weight, x_TD, hidden_AD},
                                 {head.loss, input_gradients, mr, backbone_is_finite});
  look_at_row_gradients();
  at::Tensor sums =
      at::tensor({head.loss, mr, static_cast<double>(batch.num_sequences()), static_cast<double>(batch.num_tokens())},
                 at::kDouble);
  channels_.world.all_reduce(sums, ReduceOp::kSum);
  rest.route = std::move(lookup.route);
  const double lm = sums[0].item<double>(), sum_mr = sums[1].item<double>();
  return {lm + config.lambda * sum_mr, lm, sum_mr, sums[2].item<int64_t>(), sums[3].item<int64_t>()};
}

/// The gradient of this rank's rows, once all of it has arrived.
kernels::RowGradient TrainStep::finish(Unfinished& rest) {
  const at::NoGradGuard no_grad;
  const GradientParts parts = exchange_.finish_return(rest.route, std::move(rest.returning));
  kernels::RowGradient out = join_gradients(trained(rest.kind).layout, rest.route, parts, rest.item_head_gradient);
  if (rest.covered.rows_C.defined()) add_pull(rest.covered, fixed(rest.kind), rest.lambda, out);
  return out;
}

void TrainStep::look_at_row_gradients() {
  const at::Tensor sum = std::exchange(row_gradient_sum_, at::Tensor());
  if (non_finite_ == NonFinite::kNone && sum.defined() && !is_finite(sum)) non_finite_ = NonFinite::kRowGradients;
}

void TrainStep::settle(const std::function<void()>& before_change) {
  if (!unfinished_) return;
  const auto rest = std::exchange(unfinished_, nullptr);
  kernels::RowGradient gradient = finish(*rest);
  gradient.sum_M = at::empty({gradient.rows_M.size(0)}, gradient.parts_PD.options());
  before_change();
  optimizer_.update(trained(rest->kind), gradient, rest->learning_rate);
  row_gradient_sum_ = gradient.sum_M.sum();
}

RecLosses TrainStep::run(const RecBatch& batch, const StepConfig& config, const NextBatch* next) {
  const bool other_side = next != nullptr && &trained(next->batch.kind) != &trained(batch.kind);
  auto rest = std::make_unique<Unfinished>();
  const RecLosses losses = compute(batch, config, next, *rest);
  PhaseTimer timer(phases_, trained(batch.kind).weight.device(), config.trace);
  timer.enter(&PhaseSeconds::update);
  unfinished_ = std::move(rest);
  if (!other_side) {
    settle(config.before_change);
    look_at_row_gradients();
  }
  if (ahead_) finish_ahead();
  return losses;
}

/// The rows of the next step that could not travel before are fetched.
void TrainStep::finish_ahead() {
  Table& read = trained(ahead_->batch->kind);
  optimizer_.catch_up(read, ahead_->lookup.route.touched_local_M);
  ahead_->lookup.fetched_UD =
      exchange_.finish_fetch(ahead_->lookup.route, std::move(ahead_->arriving), read.weight).to(read.compute_dtype());
}

}  // namespace cllm
