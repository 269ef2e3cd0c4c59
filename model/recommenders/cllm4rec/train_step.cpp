#include "model/recommenders/cllm4rec/train_step.h"

// Letters: T tokens, A predicting positions, K rows of a term, D width, U unique rows asked for.

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <utility>

#include "dist/device/device.h"
#include "model/kernels/rows/rows.h"
#include "model/kernels/softmax/softmax_block.h"
#include "model/losses/mutual_regularisation.h"
#include "model/losses/predictions.h"
#include "model/step/backbone_gradients.h"
#include "model/step/dense_gradients.h"
#include "model/step/encode.h"

namespace cllm {
namespace {

template <typename Work>
at::Tensor with_graph(Work&& work) {
  const at::AutoGradMode enabled(true);
  return work();
}

/// Two numbers of a device on the host; it waits for them once.
std::pair<double, double> to_host(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor both = at::stack({a.to(at::kDouble), b.to(at::kDouble)}).cpu();
  return {both[0].item<double>(), both[1].item<double>()};
}

/// A position's item is its target, or where that is a set the one that the history shows next.
ContrastPositions contrast_positions(const RecBatch& batch) {
  ContrastPositions out;
  size_t sequence = 0;
  for (size_t a = 0; a < batch.active_rows.size(); ++a) {
    while (batch.sequence_offsets[sequence + 1] <= batch.active_rows[a]) ++sequence;
    out.owners_A.push_back(static_cast<int64_t>(batch.sequence_keys[sequence]));
    const auto target = static_cast<size_t>(batch.target_offsets[a]);
    if (batch.target_offsets[a + 1] > batch.target_offsets[a]) {
      out.items_A.push_back(batch.targets[target]);
    } else {
      const auto next = static_cast<size_t>(batch.histories.offsets[sequence] + batch.histories.shown[a]);
      out.items_A.push_back(static_cast<int32_t>(batch.histories.items[next]));
    }
  }
  return out;
}

}  // namespace

/// What a step computes with, and the rows of the trained side that it reads: those of its tokens, then those of its
/// terms.
struct TrainStep::Prepared {
  const RecBatch* batch;
  BatchTensors tensors;
  HiddenTerms terms;
  std::vector<int32_t> rows;

  int64_t num_token_rows() const { return static_cast<int64_t>(tensors.tokens.rows.size()); }
  int64_t num_term_rows() const { return static_cast<int64_t>(rows.size()) - num_token_rows(); }
  at::Tensor rows_of_tokens(const Route& route) const { return route.inverse_T.narrow(0, 0, num_token_rows()); }
  at::Tensor rows_of_terms(const Route& route) const {
    return route.inverse_T.narrow(0, num_token_rows(), num_term_rows());
  }
};

struct TrainStep::Gradients {
  at::Tensor x_TD;
  bool backbone_is_finite = true;
};

TrainStep::TrainStep(const Channels& channels, RecModel& model, const RowOptimizer& optimizer, TwoLevels* levels)
    : channels_(channels), backbone_(*model.backbone), trained_backbone_(backbone_.trainable()),
      collaborative_(channels, model.collaborative, optimizer, levels, model.text.get()),
      content_(channels, model.content, optimizer, levels) {}

TrainStep::~TrainStep() = default;

std::unique_ptr<HiddenTerm> TrainStep::item_prediction(const RecBatch& batch, const StepConfig& config) {
  const RowPartition items = trained(batch.kind).table().layout.items();
  if (config.objective != nullptr) {
    SoftObjective objective = *config.objective;
    objective.alpha = config.label_share.value_or(objective.alpha);
    return std::make_unique<SoftItemPrediction>(channels_.softmax, items, objective, batch.histories);
  }
  if (config.item_softmax == ItemSoftmax::kSampled) {
    return std::make_unique<SampledPrediction>(batch.vocabulary.num_items, batch.vocabulary.num_users, batch.targets,
                                               config.negatives, config.negative_key);
  }
  return std::make_unique<ItemPrediction>(channels_.softmax, items, config.item_softmax);
}

/// The terms of a step at its hidden states: a term more is a class of model/losses/ and a line here.
HiddenTerms TrainStep::terms_of(const RecBatch& batch, const StepConfig& config) {
  HiddenTerms out;
  if (batch.kind == StepKind::kContent) {
    at::Tensor words_ND = backbone_.text_head().detach();
    if (config.predicted_words > 0) words_ND = words_ND.narrow(0, 0, config.predicted_words);
    out.add(1, std::make_unique<TextPrediction>(words_ND, is_trainable(backbone_)));
    return out;
  }
  std::unique_ptr<HiddenTerm> items = item_prediction(batch, config);
  if (config.logits != nullptr) items = std::make_unique<MappedPrediction>(std::move(items), *config.logits);
  out.add(1, std::move(items));
  if (batch.kind != StepKind::kCollaborative || !config.contrast.active()) return out;
  const ContrastPositions positions = contrast_positions(batch);
  const auto add = [&](ContrastTerm::Kind kind, double weight) {
    if (weight == 0) return;
    out.add(weight, std::make_unique<ContrastTerm>(kind, channels_.softmax, batch.vocabulary.num_users, positions,
                                                   config.contrast.temperature));
  };
  add(ContrastTerm::Kind::kUniformity, config.contrast.uniformity);
  add(ContrastTerm::Kind::kContrastive, config.contrast.contrastive);
  return out;
}

TrainStep::Prepared TrainStep::prepare(const RecBatch& batch, const StepConfig& config) {
  const Table& table = trained(batch.kind).table();
  const at::Device device = table.weight.device();
  Prepared out{&batch, {}, terms_of(batch, config), {}};
  out.tensors = upload(
      config.tensors != nullptr ? *config.tensors : make_tensors(batch, config.dropout.active(), device), device);
  out.rows = out.tensors.tokens.rows;
  const std::vector<int32_t> of_terms = out.terms.rows();
  out.rows.insert(out.rows.end(), of_terms.begin(), of_terms.end());
  return out;
}

/// As it was announced, if it was.
TrainStep::Prepared TrainStep::prepared(const RecBatch& batch, const StepConfig& config) {
  if (!ahead_) return prepare(batch, config);
  TORCH_CHECK(ahead_->batch == &batch, "another step was announced");
  return std::move(*std::exchange(ahead_, nullptr));
}

/// The L-, C- and finetuning step: loss = lm + lambda mr, METHOD.md §5. What is left of the step before and the lookup
/// of the next one are done while a GPU has the forward pass to do: the host is free, and rows travel beneath the head
/// and the backward pass.
StepLosses TrainStep::compute(const RecBatch& batch, const StepConfig& config, const NextBatch* next) {
  const at::NoGradGuard no_grad;
  RowPipeline& own = trained(batch.kind);
  phases_ = {};
  PhaseTimer timer(phases_, own.table().weight.device(), config.trace);

  timer.enter(&PhaseSeconds::lookup);
  const Prepared now = prepared(batch, config);
  TakenRows taken = own.take(now.rows, config.before_change);
  if (now.terms.reads_items()) own.catch_up_items(config.before_change);
  const at::Tensor x_TD =
      embed(now.tensors.tokens, backbone_.word_embedding(), taken.rows_UD, now.rows_of_tokens(taken.route));

  timer.enter(&PhaseSeconds::forward);
  const double skip = batch.kind == StepKind::kContent ? 0 : config.skip;
  const at::Tensor hidden_AD = with_graph(
      [&] { return hidden_states(backbone_, now.tensors, x_TD.requires_grad_(true), config.dropout, skip); });

  timer.enter(&PhaseSeconds::update);
  if (next != nullptr) ahead_ = std::make_unique<Prepared>(prepare(next->batch, next->config));
  AskedRows of_next;  // the host sorts and sends ids before it has to wait for the forward pass
  if (next != nullptr) of_next = trained(next->batch.kind).ask(ahead_->rows);
  settle(config.before_change);  // of the other side: nothing before this line reads its rows
  if (next != nullptr) trained(next->batch.kind).announce(std::move(of_next));

  timer.enter(&PhaseSeconds::head);
  const at::Tensor asked_KD = kernels::gather_rows(taken.rows_UD, now.rows_of_terms(taken.route));
  const HiddenTerms::Result terms = now.terms.value_and_gradients(
      hidden_AD.detach(), now.tensors.targets, asked_KD, now.terms.reads_items() ? own.table().items() : at::Tensor());

  timer.enter(&PhaseSeconds::backward);
  const Gradients gradients = backward(now, config, x_TD, hidden_AD, terms.sum);

  timer.enter(&PhaseSeconds::give_back);
  at::Tensor gradients_UD = at::zeros_like(taken.rows_UD);
  at::Tensor inputs_MD = gradients.x_TD.index_select(0, now.tensors.tokens.row_positions);
  if (config.input_gradient != 1) inputs_MD.mul_(config.input_gradient);
  kernels::add_rows(gradients_UD, now.rows_of_tokens(taken.route), inputs_MD);
  if (terms.sum.asked_gradient_KD.defined())
    kernels::add_rows(gradients_UD, now.rows_of_terms(taken.route), terms.sum.asked_gradient_KD);
  own.give_back(std::move(taken), gradients_UD, terms.sum.item_gradient_JD);

  timer.enter(&PhaseSeconds::mr);
  OwnerResult regulariser = regularise(batch, config);
  own.pull(std::move(regulariser.pull));
  const auto [mr, input_gradients] = to_host(regulariser.value, gradients_UD.sum());
  non_finite_ = first_non_finite({own.table().weight, fixed(batch.kind).table().weight, x_TD, hidden_AD},
                                 {terms.sum.loss, input_gradients, gradients.backbone_is_finite, mr});
  look_at_row_gradients();
  return sum_over_ranks(now, terms, mr, config.lambda);
}

/// loss = sum of the weighted terms + lambda mr, each by its name.
StepLosses TrainStep::sum_over_ranks(const Prepared& now, const HiddenTerms::Result& terms, double mr, double lambda) {
  std::vector<double> mine{terms.sum.loss, mr, static_cast<double>(now.batch->num_sequences()),
                           static_cast<double>(now.batch->num_tokens())};
  mine.insert(mine.end(), terms.values.begin(), terms.values.end());
  at::Tensor sums = at::tensor(mine, at::kDouble);
  channels_.world.all_reduce(sums, ReduceOp::kSum);
  const auto sum = [&](int64_t n) { return sums[n].item<double>(); };
  StepLosses out{.loss = sum(0) + lambda * sum(1)};
  out.num_sequences = sums[2].item<int64_t>();
  out.num_tokens = sums[3].item<int64_t>();
  for (const std::string_view name : now.terms.names())
    out.terms.emplace_back(name, sum(4 + static_cast<int64_t>(out.terms.size())));
  out.terms.emplace_back("mr", sum(1));
  return out;
}

/// Through the backbone to its inputs, and to what of it is trained.
TrainStep::Gradients TrainStep::backward(const Prepared& now, const StepConfig& config, const at::Tensor& x_TD,
                                         const at::Tensor& hidden_AD, const HiddenResult& prediction) {
  if (hidden_AD.size(0) > 0) hidden_AD.backward(prediction.hidden_gradient_AD);
  Gradients out{x_TD.grad().defined() ? x_TD.grad() : at::zeros_like(x_TD)};
  if (!config.train_backbone) {
    for (const auto& [name, parameter] : trained_backbone_) parameter.mutable_grad() = at::Tensor();
  } else if (!trained_backbone_.empty()) {
    out.backbone_is_finite =
        sum_backbone_gradients(channels_.world, backbone_, now.tensors.tokens, out.x_TD, prediction.word_gradient_ND);
  }
  return out;
}

/// The mutual regularisation of this rank's rows.
OwnerResult TrainStep::regularise(const RecBatch& batch, const StepConfig& config) {
  RowPipeline &own = trained(batch.kind), &other = fixed(batch.kind);
  if (config.lambda == 0 && !config.report_mr) {
    return {at::zeros({}, own.table().weight.options().dtype(at::kDouble)), {}};
  }
  MutualRegularisationTerm term(channels_.exchange, batch.mr, batch.num_groups, own.table(), other.table());
  const LocalRows& covered = term.find_rows();
  TORCH_CHECK(own.moves(covered.rows), "mutual regularisation covers a row that no sequence of the step reads");
  own.catch_up(covered.rows_C);
  other.catch_up(covered.rows_C);
  return term.value_and_pull(config.lambda);
}

void TrainStep::look_at_row_gradients() {
  const at::Tensor sum = std::exchange(row_gradient_sum_, at::Tensor());
  if (non_finite_ == NonFinite::kNone && sum.defined() && !is_finite(sum)) non_finite_ = NonFinite::kRowGradients;
}

StepLosses TrainStep::gradients(const RecBatch& batch, const StepConfig& config, kernels::RowGradient& out) {
  StepLosses losses = compute(batch, config, nullptr);
  out = trained(batch.kind).collect();
  return losses;
}

void TrainStep::settle(const std::function<void()>& before_change) {
  if (unsettled_ == nullptr) return;
  row_gradient_sum_ = std::exchange(unsettled_, nullptr)->settle(unsettled_rate_, before_change);
}

StepLosses TrainStep::run(const RecBatch& batch, const StepConfig& config, const NextBatch* next) {
  StepLosses losses = compute(batch, config, next);
  RowPipeline& own = trained(batch.kind);
  PhaseTimer timer(phases_, own.table().weight.device(), config.trace);
  timer.enter(&PhaseSeconds::update);
  unsettled_ = &own;
  unsettled_rate_ = config.learning_rate;
  const bool left_to_next = next != nullptr && &trained(next->batch.kind) != &own;
  if (!left_to_next) {
    settle(config.before_change);
    look_at_row_gradients();
  }
  return losses;
}

}  // namespace cllm
