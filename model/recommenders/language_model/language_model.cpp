#include "model/recommenders/language_model/language_model.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros_like.h>

#include <cmath>

#include "model/backbones/load_backbone.h"
#include "model/kernels/compute_dtype.h"
#include "model/losses/softmax_head.h"
#include "model/step/backbone_gradients.h"
#include "model/step/batch_tensors.h"
#include "model/step/encode.h"
#include "model/step/flops.h"

namespace cllm {
namespace {

struct BlocksInput : StepInput {
  Batch batch;
};

const Batch& batch_of_input(const StepInput& input) { return dynamic_cast<const BlocksInput&>(input).batch; }

Program one_stage(const LanguageModelOptions& options, int64_t steps_of_epoch) {
  std::vector<Segment> segments;
  for (int64_t epoch = 0; epoch < options.epochs; ++epoch) {
    segments.push_back(
        {.stage = 0,
         .epoch = epoch,
         .num_epochs = options.epochs,
         .learning_rate = options.learning_rate_at(epoch * steps_of_epoch, options.epochs * steps_of_epoch),
         .streams = {{0, steps_of_epoch}}});
  }
  return {{"pretrain"}, {"W"}, segments};
}

}  // namespace

LanguageModel::LanguageModel(const LanguageModelOptions& options, const OpenArguments& arguments,
                             std::shared_ptr<Backbone> backbone, TextBlocks blocks)
    : options_(options), arguments_(arguments), backbone_(std::move(backbone)), blocks_(std::move(blocks)),
      program_(one_stage(options, blocks_.steps_per_epoch())), adam_(backbone_->parameters()) {}

std::unique_ptr<StepInput> LanguageModel::input(const StepRef& ref) const {
  const Communicator& world = arguments_.channels.world;
  auto out = std::make_unique<BlocksInput>();
  out->batch = blocks_.batch(ref.epoch, ref.step, world.rank(), world.world_size());
  out->num_sequences = out->batch.num_sequences();
  out->num_tokens = out->batch.num_tokens();
  out->keys = out->batch.sequence_keys;
  return out;
}

/// This rank's part of the loss; gradients, summed over the ranks, are in the parameters' .grad.
double LanguageModel::loss_and_gradients(const Batch& batch) {
  const at::NoGradGuard no_grad;
  const at::Device device = arguments_.device;
  const BatchTensors tensors = upload(make_tensors(batch, /*dropout=*/false, device), device);
  const at::Tensor& words_ND = backbone_->word_embedding();
  const at::Tensor none_0D = at::empty(
      {0, backbone_->width()}, words_ND.options().dtype(residual_dtype(words_ND.scalar_type())).requires_grad(false));
  const at::Tensor no_rows = at::empty({0}, none_0D.options().dtype(at::kLong));
  const at::Tensor x_TD = embed(tensors.tokens, words_ND, none_0D, no_rows);
  at::Tensor hidden_AD;
  {
    const at::AutoGradMode with_graph(true);
    hidden_AD = hidden_states(*backbone_, tensors.layout, x_TD.requires_grad_(true), {});
  }
  const HeadResult head = text_softmax(hidden_AD.detach(), backbone_->text_head().detach(), tensors.targets,
                                       /*want_weight_gradient=*/true);
  if (hidden_AD.size(0) > 0) hidden_AD.backward(head.hidden_gradient);
  const at::Tensor x_gradient_TD = x_TD.grad().defined() ? x_TD.grad() : at::zeros_like(x_TD);
  const bool finite = sum_backbone_gradients(arguments_.channels.world, *backbone_, tensors.tokens, x_gradient_TD,
                                             head.weight_gradient);
  non_finite_ = !std::isfinite(head.loss) ? NonFinite::kLoss
                : finite                  ? NonFinite::kNone
                                          : NonFinite::kBackboneGradients;
  return head.loss;
}

StepLosses LanguageModel::step(const StepInput& input, const StepSettings& settings, const NextStep* /*next*/) {
  const Batch& batch = batch_of_input(input);
  at::Tensor sums = at::tensor(
      {loss_and_gradients(batch), static_cast<double>(batch.num_sequences()), static_cast<double>(batch.num_tokens())},
      at::kDouble);
  arguments_.channels.world.all_reduce(sums, ReduceOp::kSum);
  settings.before_change();
  if (options_.clip > 0) adam_.clip_gradients(options_.clip);
  adam_.step(options_.learning_rate_at(settings.global_step, program_.num_steps()));
  const double loss = sums[0].item<double>();
  return {loss, {{"lm", loss}}, sums[1].item<int64_t>(), sums[2].item<int64_t>()};
}

std::map<std::string, double> LanguageModel::held_out() {
  const Communicator& world = arguments_.channels.world;
  at::Tensor sum = at::tensor({loss_and_gradients(blocks_.held_out(world.rank(), world.world_size()))}, at::kDouble);
  for (const auto& [name, parameter] : backbone_->parameters()) parameter.mutable_grad() = at::Tensor();
  arguments_.channels.world.all_reduce(sum, ReduceOp::kSum);
  return {{"nats_per_token", sum.item<double>()}};
}

std::vector<std::vector<ScoredItem>> LanguageModel::top_items(std::span<const RankingQuery> queries, int64_t /*k*/) {
  TORCH_CHECK(queries.empty(), "a language model gives no lists");
  return {};
}

void LanguageModel::save(const std::string& dir) const { backbone_->save(dir); }

double LanguageModel::flops(const StepInput& input, const StepSettings& /*settings*/) const {
  const Batch& batch = batch_of_input(input);
  return backbone_flops(batch, *backbone_, /*train_backbone=*/true) +
         head_flops(std::ssize(batch.active_rows), backbone_->num_words(), backbone_->width(), /*trained_head=*/true);
}

std::string LanguageModel::describe() const {
  return "backbone   from scratch: " + std::to_string(options_.layers) + " layers, width " +
         std::to_string(options_.width) + ", " + std::to_string(backbone_->num_words()) + " words\nepoch      " +
         std::to_string(blocks_.steps_per_epoch()) + " steps of " + std::to_string(options_.blocks) + " blocks of " +
         std::to_string(options_.context) + " tokens\n";
}

namespace {

std::unique_ptr<Recommender> open(const ModelOptions& any, const OpenArguments& arguments) {
  const auto& options = dynamic_cast<const LanguageModelOptions&>(any);
  const int64_t num_words = arguments.corpus.vocabulary().num_words;
  std::optional<TextBlocks> blocks;
  arguments.agreed([&] {
    blocks.emplace(arguments.corpus,
                   TextBlocks::Options{.context = options.context,
                                       .separator = static_cast<int32_t>(num_words - 1),  // <|endoftext|>
                                       .blocks_per_step = options.blocks,
                                       .seed = arguments.run.seed});
  });
  const ConfigJson sizes("pretrain-backbone", {{"model_type", "gpt2"},
                                               {"n_layer", options.layers},
                                               {"n_head", options.heads},
                                               {"n_embd", options.width},
                                               {"n_positions", options.positions},
                                               {"vocab_size", num_words}});
  std::shared_ptr<Backbone> backbone = random_backbone(sizes, arguments.run.seed, {.device = arguments.device});
  backbone->set_trainable(true);
  return std::make_unique<LanguageModel>(options, arguments, std::move(backbone), std::move(*blocks));
}

}  // namespace

Model language_model() {
  return {"language_model", "a GPT-2 from scratch on the texts of the corpus",
          []() -> std::unique_ptr<ModelOptions> { return std::make_unique<LanguageModelOptions>(); }, open};
}

}  // namespace cllm
