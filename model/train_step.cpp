#include "model/train_step.h"

// Letters: T tokens, A predicting positions, K targets, D width, U unique rows asked for, M touched rows of this rank's shard.

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>

#include "model/kernels/softmax_block.h"
#include "model/mutual_regularisation.h"
#include "model/packed_layout.h"

namespace cllm {
namespace {

/// The tokens of a batch by where their embedding comes from.
struct TokenSources {
  at::Tensor word_positions, word_ids;  // int64
  at::Tensor row_positions;             // int64: tokens of users and items
  std::vector<int32_t> rows;            // their table rows
};

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
  return {at::tensor(word_positions, at::kLong), at::tensor(word_ids, at::kLong), at::tensor(row_positions, at::kLong), std::move(rows)};
}

/// Input embeddings [T, D] in the table's dtype.
at::Tensor embed(const TokenSources& tokens, const at::Tensor& words_ND, const at::Tensor& fetched_UD, const at::Tensor& inverse_T) {
  const int64_t T = tokens.word_positions.size(0) + tokens.row_positions.size(0);
  at::Tensor x_TD = at::empty({T, fetched_UD.size(1)}, fetched_UD.options());
  x_TD.index_copy_(0, tokens.word_positions, words_ND.detach().index_select(0, tokens.word_ids).to(x_TD.scalar_type()));
  x_TD.index_copy_(0, tokens.row_positions, fetched_UD.index_select(0, inverse_T));
  return x_TD;
}

/// Hidden states of the predicting positions, [A, D] in the compute dtype, with the graph back to x_TD (and to trainable parameters).
at::Tensor hidden_states(const Backbone& backbone, const Batch& batch, const at::Tensor& x_TD, const Dropout& dropout) {
  const auto A = static_cast<int64_t>(batch.active_rows.size());
  if (A == 0) return at::empty({0, x_TD.size(1)}, x_TD.options().dtype(backbone.text_head().scalar_type()));
  const bool drops = dropout.embedding > 0 || dropout.attention > 0 || dropout.residual > 0;
  PackedLayout layout = make_layout(batch, x_TD.device(), drops);
  layout.output_rows_A = at::tensor(batch.active_rows, at::kLong);
  const at::AutoGradMode with_graph(true);
  return backbone.forward(x_TD.requires_grad_(true), layout, dropout);
}

Targets targets_of(const Batch& batch) {
  return {at::tensor(batch.target_offsets, at::kLong), at::tensor(batch.targets, at::kLong), at::tensor(batch.target_weights, at::kDouble)};
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

/// Sums the parameters' gradients over ranks, as one flat tensor. A rank without tokens contributes zeros.
void sum_parameter_gradients(Communicator& comm, const Backbone& backbone) {
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
}

/// Every row that the step trains on this shard: in L and F the touched users and all items (the softmax gives each a gradient, which
/// meets the gradient of the item's input embeddings here), in C the touched rows. All ascending.
RowGradients merge_gradients(const TableLayout& layout, const Route& route, const at::Tensor& returned_MD, at::Tensor item_head_gradient) {
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

  const at::Tensor hidden_AD = hidden_states(backbone, batch, x_TD, config.dropout);
  phases_.forward = watch.lap();

  const HeadResult head =
      items_predict_items
          ? item_softmax(comm_, layout.items(), config.item_softmax, hidden_AD.detach(), own.items(), targets_of(batch))
          : text_softmax(hidden_AD.detach(), backbone.text_head().detach(), targets_of(batch), is_trainable(backbone));
  phases_.head = watch.lap();

  if (hidden_AD.size(0) > 0) hidden_AD.backward(head.hidden_gradient);
  const at::Tensor x_gradient_TD = x_TD.grad().defined() ? x_TD.grad() : at::zeros_like(x_TD);
  if (is_trainable(backbone)) {
    if (!items_predict_items) add_to_gradient(backbone.word_embedding(), head.weight_gradient);
    at::Tensor words_ND = at::zeros_like(backbone.word_embedding());
    kernels::add_rows(words_ND, tokens.word_ids, x_gradient_TD.index_select(0, tokens.word_positions));
    add_to_gradient(backbone.word_embedding(), words_ND);
    sum_parameter_gradients(comm_, backbone);
  }
  phases_.backward = watch.lap();

  at::Tensor gradients_UD = at::zeros({route.unique_rows_U.size(0), own.width()}, own.weight.options());
  kernels::add_rows(gradients_UD, route.inverse_T, x_gradient_TD.index_select(0, tokens.row_positions));
  out = merge_gradients(layout, route, exchange_.return_gradients(route, gradients_UD),
                        items_predict_items ? head.weight_gradient : at::Tensor());
  phases_.give_back = watch.lap();

  at::Tensor sums = at::tensor({head.loss, 0.0}, at::kDouble);  // lm, mr
  if (config.lambda != 0 || config.report_mr) {
    const CoveredShard covered = exchange_covered(comm_, layout, batch.mr, batch.num_groups);
    optimizer_.catch_up(own, covered.rows_C);
    optimizer_.catch_up(other, covered.rows_C);
    sums[1] = regularise(covered, own, other, config.lambda, out.rows_M, out.gradients_MD);
  }
  comm_.all_reduce(sums, ReduceOp::kSum);
  phases_.mr = watch.lap();
  const double lm = sums[0].item<double>(), mr = sums[1].item<double>();
  return {lm + config.lambda * mr, lm, mr};
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
