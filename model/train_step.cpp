#include "model/train_step.h"

// Letters: T tokens, A predicting positions, K targets, D width, U unique rows asked for, M touched rows of this rank's shard.

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>

#include <cmath>

#include "model/encode.h"
#include "model/kernels/softmax_block.h"
#include "model/mutual_regularisation.h"

namespace cllm {
namespace {

template <typename Work>
at::Tensor with_graph(Work&& work) {
  const at::AutoGradMode enabled(true);
  return work();
}

Targets targets_of(const Batch& batch) {
  return {at::tensor(batch.target_offsets, at::kLong), at::tensor(batch.targets, at::kLong),
          at::tensor(batch.target_weights, at::kDouble)};
}

bool is_trainable(const Backbone& backbone) { return backbone.word_embedding().requires_grad(); }

void add_to_gradient(const at::Tensor& parameter, const at::Tensor& gradient) {
  at::Tensor& sum = parameter.mutable_grad();
  if (sum.defined()) {
    sum.add_(gradient);
  } else {
    sum = gradient;
  }
}

/// One pass over memory: a sum is finite unless an element is not (or they overflow, which is as bad).
bool is_finite(const at::Tensor& tensor) { return std::isfinite(tensor.sum().item<double>()); }

/// Sums the parameters' gradients over ranks, as one flat tensor. A rank without tokens contributes zeros. False: they are not finite.
bool sum_parameter_gradients(Communicator& comm, const Backbone& backbone) {
  const auto parameters = backbone.parameters();
  std::vector<at::Tensor> flat;
  for (const auto& [name, parameter] : parameters) {
    flat.push_back((parameter.grad().defined() ? parameter.grad() : at::zeros_like(parameter)).reshape({-1}));
  }
  at::Tensor all = at::cat(flat);
  comm.all_reduce(all, ReduceOp::kSum);
  int64_t begin = 0;
  for (const auto& [name, parameter] : parameters) {
    parameter.mutable_grad() = all.narrow(0, begin, parameter.numel()).view(parameter.sizes());
    begin += parameter.numel();
  }
  return is_finite(all);
}

/// Every row that the step trains on this shard: in L and F the touched users and all items (the softmax gives each a gradient, which
/// meets the gradient of the item's input embeddings here), in C the touched rows. All ascending.
RowGradients merge_gradients(const TableLayout& layout, const Route& route, const at::Tensor& returned_MD,
                             at::Tensor item_head_gradient) {
  if (!item_head_gradient.defined()) return {route.touched_local_M, returned_MD};
  const int64_t first_item = layout.num_local_users();
  const int64_t num_users = (route.touched_local_M < first_item).sum().item<int64_t>();
  const int64_t num_items = route.touched_local_M.size(0) - num_users;
  const at::Tensor touched_items = route.touched_local_M.narrow(0, num_users, num_items) - first_item;
  kernels::add_rows(item_head_gradient, touched_items, returned_MD.narrow(0, num_users, num_items));
  return {at::cat({route.touched_local_M.narrow(0, 0, num_users), at::arange(first_item, layout.num_local_rows(), at::kLong)}),
          at::cat({returned_MD.narrow(0, 0, num_users), item_head_gradient})};
}

}  // namespace

std::string_view name_of(NonFinite place) {
  switch (place) {
    case NonFinite::kNone: break;
    case NonFinite::kTableRows: return "table rows";
    case NonFinite::kInputRows: return "input rows";
    case NonFinite::kHiddenStates: return "hidden states";
    case NonFinite::kLoss: return "loss";
    case NonFinite::kInputGradients: return "input gradients";
    case NonFinite::kBackboneGradients: return "backbone gradients";
    case NonFinite::kRowGradients: return "row gradients";
  }
  return "nothing";
}

TrainStep::TrainStep(Communicator& comm, RecModel& model, const RowOptimizer& optimizer)
    : comm_(comm), model_(model), optimizer_(optimizer), exchange_(comm, model.collaborative.layout) {}

StepLosses TrainStep::gradients(const Batch& batch, const StepConfig& config, RowGradients& out) {
  const at::NoGradGuard no_grad;
  const bool items_predict_items = batch.kind != StepKind::kContent;
  Backbone& backbone = *model_.backbone;
  Table &own = trained(batch.kind), &other = fixed(batch.kind);
  const TableLayout& layout = own.layout;
  Stopwatch watch;

  const TokenSources tokens = split_tokens(batch);
  const Route route = exchange_.route(tokens.rows);
  optimizer_.catch_up(own, route.touched_local_M);
  if (items_predict_items) optimizer_.catch_up(own, at::arange(layout.num_local_users(), layout.num_local_rows(), at::kLong));
  const at::Tensor x_TD = embed(tokens, backbone.word_embedding(), exchange_.fetch(route, own.weight), route.inverse_T);
  phases_.lookup = watch.lap();

  const at::Tensor hidden_AD =
      with_graph([&] { return hidden_states(backbone, batch, x_TD.requires_grad_(true), config.dropout); });
  phases_.forward = watch.lap();

  const HeadResult head =
      items_predict_items
          ? item_softmax(comm_, layout.items(), config.item_softmax, hidden_AD.detach(), own.items(), targets_of(batch))
          : text_softmax(hidden_AD.detach(), backbone.text_head().detach(), targets_of(batch), is_trainable(backbone));
  phases_.head = watch.lap();

  if (hidden_AD.size(0) > 0) hidden_AD.backward(head.hidden_gradient);
  const at::Tensor x_gradient_TD = x_TD.grad().defined() ? x_TD.grad() : at::zeros_like(x_TD);
  bool backbone_is_finite = true;
  if (is_trainable(backbone)) {
    if (!items_predict_items) add_to_gradient(backbone.word_embedding(), head.weight_gradient);
    at::Tensor words_ND = at::zeros_like(backbone.word_embedding());
    kernels::add_rows(words_ND, tokens.word_ids, x_gradient_TD.index_select(0, tokens.word_positions));
    add_to_gradient(backbone.word_embedding(), words_ND);
    backbone_is_finite = sum_parameter_gradients(comm_, backbone);
  }
  phases_.backward = watch.lap();

  at::Tensor gradients_UD = at::zeros({route.unique_rows_U.size(0), own.width()}, own.weight.options());
  kernels::add_rows(gradients_UD, route.inverse_T, x_gradient_TD.index_select(0, tokens.row_positions));
  out = merge_gradients(layout, route, exchange_.return_gradients(route, gradients_UD),
                        items_predict_items ? head.weight_gradient : at::Tensor());
  phases_.give_back = watch.lap();

  at::Tensor sums = at::tensor(  // lm, mr, sequences, tokens
      {head.loss, 0.0, static_cast<double>(batch.num_sequences()), static_cast<double>(batch.num_tokens())}, at::kDouble);
  if (config.lambda != 0 || config.report_mr) {
    const CoveredShard covered = exchange_covered(comm_, layout, batch.mr, batch.num_groups);
    optimizer_.catch_up(own, covered.rows_C);
    optimizer_.catch_up(other, covered.rows_C);
    sums[1] = regularise(covered, own, other, config.lambda, out.rows_M, out.gradients_MD);
  }
  non_finite_ = NonFinite::kNone;
  if (!std::isfinite(head.loss) || !is_finite(gradients_UD)) {
    non_finite_ = !is_finite(own.weight) || !is_finite(other.weight) ? NonFinite::kTableRows
                  : !is_finite(x_TD)                                 ? NonFinite::kInputRows
                  : !is_finite(hidden_AD)                            ? NonFinite::kHiddenStates
                  : !std::isfinite(head.loss)                        ? NonFinite::kLoss
                                                                     : NonFinite::kInputGradients;
  } else if (!backbone_is_finite) {
    non_finite_ = NonFinite::kBackboneGradients;
  } else if (!std::isfinite(sums[1].item<double>()) || !is_finite(out.gradients_MD)) {
    non_finite_ = NonFinite::kRowGradients;
  }
  comm_.all_reduce(sums, ReduceOp::kSum);
  phases_.mr = watch.lap();
  const double lm = sums[0].item<double>(), mr = sums[1].item<double>();
  return {lm + config.lambda * mr, lm, mr, sums[2].item<int64_t>(), sums[3].item<int64_t>()};
}

StepLosses TrainStep::run(const Batch& batch, const StepConfig& config) {
  RowGradients gradients;
  const StepLosses losses = this->gradients(batch, config, gradients);
  Stopwatch watch;
  optimizer_.update(trained(batch.kind), gradients.rows_M, gradients.gradients_MD, config.learning_rate);
  phases_.update = watch.lap();
  return losses;
}

}  // namespace cllm
