#include "model/recommenders/language_model/language_model.h"

#include <ATen/ops/tensor.h>

#include "model/backbones/load_backbone.h"
#include "model/losses/softmax_head.h"
#include "model/step/batch_tensors.h"
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

WordLoss LanguageModel::loss_and_gradients(const Batch& batch) {
  const at::Device device = arguments_.device;
  const BatchTensors tensors = upload(make_tensors(batch, /*dropout=*/false, device), device);
  return word_loss(arguments_.channels.world, *backbone_, tensors, {}, [&](const at::Tensor& hidden_AD) {
    return text_softmax(hidden_AD, backbone_->text_head().detach(), tensors.targets, /*want_weight_gradient=*/true);
  });
}

StepLosses LanguageModel::step(const StepInput& input, const StepSettings& settings, const NextStep* /*next*/) {
  const Batch& batch = batch_of_input(input);
  const WordLoss mine = loss_and_gradients(batch);
  non_finite_ = mine.non_finite;
  StepLosses out =
      move_words(arguments_.channels.world, adam_, {mine.loss, {}, batch.num_sequences(), batch.num_tokens()}, settings,
                 options_.clip, options_.learning_rate_at(settings.global_step, program_.num_steps()));
  out.terms = {{"lm", out.loss}};
  return out;
}

std::map<std::string, double> LanguageModel::held_out() {
  const Communicator& world = arguments_.channels.world;
  at::Tensor sum =
      at::tensor({loss_and_gradients(blocks_.held_out(world.rank(), world.world_size())).loss}, at::kDouble);
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
