#include "model/recommenders/cllm4rec/cllm4rec.h"

#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <array>

#include "data/random.h"
#include "model/evaluation/scoring.h"
#include "model/kernels/rows/rows.h"
#include "model/recommenders/cllm4rec/head/standardise.h"
#include "model/step/dense_gradients.h"
#include "model/step/encode.h"

namespace cllm {
namespace {

/// A batch with its tensors on the way to where the rank computes.
struct BatchInput : StepInput {
  RecBatch batch;
  BatchTensors tensors;
};

const BatchInput& of_batch(const StepInput& input) { return dynamic_cast<const BatchInput&>(input); }

EpochSteps epoch_steps(const Sampler& sampler) {
  return {sampler.num_steps(StepKind::kCollaborative), sampler.num_steps(StepKind::kContent),
          sampler.num_steps(StepKind::kRecommendation)};
}

/// Of the first steps of an epoch, the one with the most tokens.
int64_t largest_step(const Sampler& sampler, StepKind kind) {
  constexpr int64_t kSteps = 64;
  int64_t best = 0, most = -1;
  for (int64_t step = 0; step < std::min(kSteps, sampler.num_steps(kind)); ++step) {
    const int64_t tokens = sampler.batch({.kind = kind, .step = step}, 0, 1).num_tokens();
    if (tokens > most) best = step;
    most = std::max(most, tokens);
  }
  return best;
}

}  // namespace

Cllm4rec::Cllm4rec(const Cllm4recOptions& options, const OpenArguments& arguments, RecModel model, Sampler sampler,
                   WordSet words, const Dropout& backbone_dropout)
    : options_(options), arguments_(arguments), model_(std::move(model)), sampler_(std::move(sampler)),
      words_(std::move(words)), backbone_dropout_(backbone_dropout),
      program_(make_program(options, epoch_steps(sampler_), arguments.run.validate_every_epochs)),
      collaborative_head_(choose_item_head(options, sampler_, *model_.backbone, StepKind::kCollaborative)),
      recommendation_head_(choose_item_head(options, sampler_, *model_.backbone, StepKind::kRecommendation)),
      optimizer_(make_row_optimizer(options.optimizer)),
      backbone_optimizer_(
          model_.backbone->trainable().empty() ? nullptr : std::make_unique<DenseAdam>(model_.backbone->trainable())),
      map_optimizer_(model_.text ? std::make_unique<DenseAdam>(model_.text->parameters()) : nullptr),
      step_(arguments.channels, model_, *optimizer_, arguments.levels) {
  soft_.mask_shown = options.objective.mask_shown;
  logits_ = {.kind = options.head, .temperature = options.temperature};
  if (logits_.kind != HeadKind::kStandardised) return;
  const Table& table = model_.collaborative;
  const at::TensorOptions like = table.weight.options().dtype(table.compute_dtype());
  logits_.mean_D = at::zeros({table.width()}, like);
  logits_.deviation_D = at::ones({table.width()}, like);
}

void Cllm4rec::set_labels(std::unique_ptr<SoftLabels> labels) {
  const bool taught = options_.objective.teacher.model != TeacherModel::kNone;
  labels_ = std::move(labels);
  soft_.labels = labels_.get();
  if (labels_ == nullptr) return;
  soft_.alpha = taught ? options_.objective.teacher.alpha : options_.objective.smoothing.weight;
  soft_.form = taught ? options_.objective.teacher.form : SoftForm::kCrossEntropy;
}

void Cllm4rec::prepare_head() {
  if (logits_.kind != HeadKind::kStandardised) return;
  if (model_.text) model_.text->compose(model_.collaborative);
  const bool has_l = program_.has(static_cast<int>(StepKind::kCollaborative));
  const StepKind kind = has_l ? StepKind::kCollaborative : StepKind::kRecommendation;
  const Stage stage = has_l ? Stage::kMutual : Stage::kFinetune;
  standardise(
      logits_, arguments_.channels.exchange, *model_.backbone, model_.collaborative,
      [&](int64_t step) -> std::optional<Batch> {
        if (step >= sampler_.num_steps(kind)) return {};
        return sampler_.batch({.kind = kind, .stage = static_cast<int64_t>(stage), .step = step}, 0, 1);
      },
      options_.skip);
}

Store Cllm4rec::store() {
  Store store{.tables = {{"l", &model_.collaborative}, {"c", &model_.content}}};
  if (backbone_optimizer_) store.dense.push_back({"backbone.", backbone_optimizer_.get()});
  if (model_.text) {
    store.tables.push_back({"t", &model_.text->vectors(), /*is_given=*/true});
    store.dense.push_back({"text.", map_optimizer_.get()});
  }
  if (logits_.kind == HeadKind::kStandardised)
    store.kept = {{"head.mean", logits_.mean_D}, {"head.deviation", logits_.deviation_D}};
  if (options_.train_backbone) return store;
  for (const auto& [name, tensor] : model_.backbone->parameters()) store.frozen.push_back({"backbone." + name, tensor});
  return store;
}

void Cllm4rec::reset_optimizer() {
  for (Table* table : {&model_.collaborative, &model_.content}) optimizer_->reset(*table);
  if (map_optimizer_) map_optimizer_->reset();
}

std::unique_ptr<StepInput> Cllm4rec::input(const StepRef& ref) const {
  const Communicator& world = arguments_.channels.world;
  auto out = std::make_unique<BatchInput>();
  out->batch = sampler_.batch({kind_of(ref), ref.stage, ref.epoch, ref.step}, world.rank(), world.world_size());
  out->tensors = make_tensors(out->batch, dropout_of(ref).active(), arguments_.device);
  out->num_sequences = out->batch.num_sequences();
  out->num_tokens = out->batch.num_tokens();
  out->keys = out->batch.sequence_keys;
  return out;
}

Dropout Cllm4rec::dropout_of(const StepRef& ref) const {
  const Stage stage = stage_of(ref);
  const bool content_in_finetune = stage == Stage::kFinetune && kind_of(ref) == StepKind::kContent;
  if (content_in_finetune && !options_.loss.content_dropout_in_finetune) return {};
  Dropout out = options_.dropout_of(options_of(options_, stage), backbone_dropout_);
  if (trains_backbone(kind_of(ref))) out.adapters = options_.adapters.dropout;
  return out;
}

bool Cllm4rec::trains_backbone(StepKind kind) const {
  if (options_.adapters.rank == 0) return options_.train_backbone;
  constexpr std::array<const char*, 3> kNames{"L", "C", "F"};  // in the order of StepKind
  return std::ranges::find(options_.adapter_steps, kNames[static_cast<size_t>(kind)]) != options_.adapter_steps.end();
}

/// Of the step's own: a trained backbone's relative to it, adapters' falling as it does.
double Cllm4rec::backbone_rate(const StepSettings& settings) const {
  if (options_.adapters.rank == 0) return settings.learning_rate * options_.backbone_scale;
  const double start = options_of(options_, stage_of(settings.ref)).learning_rate;
  return start > 0 ? options_.adapters_rate * settings.learning_rate / start : options_.adapters_rate;
}

StepConfig Cllm4rec::config_of(const StepInput& input, const StepSettings& settings) const {
  const StepKind kind = kind_of(settings.ref);
  StepConfig out;
  switch (kind) {
    case StepKind::kCollaborative: out.lambda = options_.lambda_collaborative; break;
    case StepKind::kContent: out.lambda = stage_of(settings.ref) == Stage::kWarmup ? 0 : options_.lambda_content; break;
    case StepKind::kRecommendation: out.lambda = options_.lambda_finetune; break;
  }
  out.learning_rate = settings.learning_rate;
  out.dropout = dropout_of(settings.ref);
  out.item_softmax = head_of(kind).form;
  out.logits = logits();
  out.skip = options_.skip;
  if (kind != StepKind::kContent) out.input_gradient = options_.input_gradient;
  out.objective = objective();
  if (kind != StepKind::kContent && options_.objective.teacher.model != TeacherModel::kNone)
    out.label_share =
        options_.objective.teacher.alpha_at(settings.ref.epoch, options_of(options_, stage_of(settings.ref)).epochs);
  out.contrast = options_.objective.contrast;
  out.negatives = options_.negatives;
  out.negative_key = stream_key(arguments_.run.seed, Purpose::kNegatives, static_cast<uint64_t>(settings.global_step));
  out.predicted_words = words_.num_predicted();
  out.before_change = settings.before_change;
  out.tensors = &of_batch(input).tensors;
  out.train_backbone = trains_backbone(kind);
  out.trace = arguments_.run.trace;
  return out;
}

/// What ranks hold alike: the backbone or its adapters, and the map of text rows, whose gradients the update of the
/// rows has left.
void Cllm4rec::update_dense(const StepSettings& settings) {
  const StepKind kind = kind_of(settings.ref);
  if (backbone_optimizer_ && trains_backbone(kind)) {
    settings.before_change();
    backbone_optimizer_->step(backbone_rate(settings));
  }
  if (map_optimizer_ && kind != StepKind::kContent) {
    settings.before_change();
    if (!sum_dense_gradients(arguments_.channels.world, model_.text->parameters()) && non_finite_ == NonFinite::kNone)
      non_finite_ = NonFinite::kRowGradients;
    map_optimizer_->step(settings.learning_rate * options_.text_rows.rate);
  }
}

/// A map moves all rows in every step: none can travel ahead of its update.
StepLosses Cllm4rec::step(const StepInput& input, const StepSettings& settings, const NextStep* next) {
  items_ = at::Tensor();
  std::optional<NextBatch> next_batch;
  const bool ahead = next != nullptr && !model_.text;
  const StepConfig next_config = ahead ? config_of(next->input, next->settings) : StepConfig{};
  if (ahead) next_batch.emplace(of_batch(next->input).batch, next_config);
  StepLosses losses = step_.run(of_batch(input).batch, config_of(input, settings), next_batch ? &*next_batch : nullptr);
  non_finite_ = step_.non_finite();
  update_dense(settings);
  return losses;
}

void Cllm4rec::flush(const std::function<void()>& before_change) {
  items_ = at::Tensor();
  settle(before_change);
  before_change();
  for (Table* table : {&model_.collaborative, &model_.content}) optimizer_->flush(*table);
  if (model_.text) model_.text->compose(model_.collaborative);
}

/// States of finetuning rank by the recommendation prompt, earlier ones by the next item after the history
/// (LLM-PreRec).
void Cllm4rec::rank_as(int stage) {
  prompt_ = static_cast<Stage>(stage) == Stage::kFinetune ? StepKind::kRecommendation : StepKind::kCollaborative;
}

std::string Cllm4rec::why_no_fold_in() const {
  if (options_.prompts.user_token != UserToken::kOn) return "";
  return "asks by each user's own row (prompts.user_token = \"on\"), which new users have not: train with "
         "prompts.user_token = \"dropped\" or \"off\"";
}

at::Tensor Cllm4rec::scored_rows() {
  const Table& table = model_.collaborative;
  if (!items_.defined()) items_ = logits_.of_rows(table.items().to(table.compute_dtype()));
  return items_;
}

/// What the queries' hidden states become. Scores are linear in it: its mean over the orders gives their mean.
at::Tensor Cllm4rec::query_rows(std::span<const RankingQuery> queries) {
  const Table& table = model_.collaborative;
  RowExchange exchange(arguments_.channels.world, table.layout, arguments_.device,
                       kernels::row_kernels(arguments_.device));
  const auto of_order = [&](int64_t order) {
    return logits_.of_hidden(
        encode(exchange, *model_.backbone, table, sampler_.ranking_prompts(queries, prompt_, order), options_.skip));
  };
  at::Tensor hidden_bD = of_order(0);
  if (options_.orders == 1) return hidden_bD;
  hidden_bD = hidden_bD.to(at::kDouble);
  for (int64_t order = 1; order < options_.orders; ++order) hidden_bD.add_(of_order(order));
  return hidden_bD.div_(static_cast<double>(options_.orders));
}

std::vector<std::vector<int32_t>> Cllm4rec::prompts_of(std::span<const RankingQuery> queries) const {
  std::vector<std::vector<int32_t>> out;
  if (options_.orders > 1 || !options_.has_backbone() || logits() != nullptr) return out;
  const RecBatch batch = sampler_.ranking_prompts(queries, prompt_);
  for (size_t n = 0; n < queries.size(); ++n) {
    out.emplace_back(batch.token_ids.begin() + batch.sequence_offsets[n],
                     batch.token_ids.begin() + batch.sequence_offsets[n + 1]);
  }
  return out;
}

std::vector<std::vector<ScoredItem>> Cllm4rec::top_items(std::span<const RankingQuery> queries, int64_t k) {
  std::vector<std::vector<int32_t>> masked;
  for (const RankingQuery& query : queries) masked.push_back(query.masked);
  return ItemScorer(arguments_.channels.world, model_.collaborative.layout.items(), scored_rows())
      .top_items(query_rows(queries), masked, k);
}

void Cllm4rec::rehearse() {
  const Communicator& world = arguments_.channels.world;
  for (const StepKind kind : {StepKind::kCollaborative, StepKind::kContent, StepKind::kRecommendation}) {
    if (!program_.has(static_cast<int>(kind))) continue;
    const StepId id{.kind = kind, .step = largest_step(sampler_, kind)};
    kernels::RowGradient dropped;
    step_.gradients(sampler_.batch(id, world.rank(), world.world_size()),
                    {.lambda = model_.text ? 0.0 : 1.0,  // of free rows alone
                     .dropout = backbone_dropout_,
                     .item_softmax = head_of(kind).form,
                     .logits = logits(),
                     .skip = options_.skip,
                     .objective = objective(),
                     .contrast = options_.objective.contrast,
                     .negatives = options_.negatives,
                     .predicted_words = words_.num_predicted()},
                    dropped);
  }
  for (const auto& [name, parameter] : model_.backbone->trainable()) parameter.mutable_grad() = at::Tensor();
  if (!model_.text) return;
  for (const auto& [name, parameter] : model_.text->parameters()) parameter.mutable_grad() = at::Tensor();
}

double Cllm4rec::flops(const StepInput& input, const StepSettings& settings) const {
  return step_flops(of_batch(input).batch, *model_.backbone, config_of(input, settings), options_.train_backbone);
}

}  // namespace cllm
