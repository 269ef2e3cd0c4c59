#include <CLI/CLI.hpp>
#include <numbers>

#include "launch/commands/command_line.h"
#include "launch/failures/agree.h"
#include "launch/failures/errors.h"
#include "launch/failures/exit_codes.h"
#include "launch/output/progress.h"
#include "launch/run/connect.h"
#include "model/backbones/gpt2/gpt2.h"
#include "model/backbones/load_backbone.h"
#include "model/recommenders/language_model/text_blocks.h"
#include "model/step/train_step.h"
#include "model/tables/dense_adam.h"

namespace cllm {
namespace {

struct PretrainArguments {
  std::string corpus, output, device = "cpu";
  Gpt2Config sizes{.num_layers = 4, .num_heads = 4, .width = 256, .max_positions = 512, .num_words = 0};
  TextBlocks::Options blocks;
  int64_t epochs = 5, warmup_steps = 100;
  double learning_rate = 1e-3, clip = 1.0;
};

/// Linear rise, then half a cosine to 0.
double rate_at(const PretrainArguments& arguments, int64_t step, int64_t steps) {
  if (step < arguments.warmup_steps)
    return arguments.learning_rate * static_cast<double>(step + 1) / static_cast<double>(arguments.warmup_steps);
  return arguments.learning_rate * 0.5 *
         (1 + std::cos(std::numbers::pi * static_cast<double>(step) / static_cast<double>(steps)));
}

/// A model of words only: tables without rows.
RecModel word_model(const Gpt2Config& sizes, uint64_t seed, const Communicator& comm, at::Device device) {
  const TableLayout layout(0, 0, comm.rank(), comm.world_size());
  RecModel model;
  model.backbone = make_gpt2(sizes, seed, {.device = device});
  model.backbone->set_trainable(true);
  model.collaborative = make_random_table(layout, sizes.width, at::kFloat, seed, Side::kCollaborative);
  model.content = make_random_table(layout, sizes.width, at::kFloat, seed, Side::kContent);
  for (Table* table : {&model.collaborative, &model.content}) table->weight = table->weight.to(device);
  return model;
}

int pretrain(CommandContext& context, PretrainArguments arguments) {
  const auto world = connect(context.mpi, {.device = arguments.device});
  std::optional<Corpus> corpus;
  std::optional<TextBlocks> blocks;
  collectively(*world, [&] {
    corpus = Corpus::open(arguments.corpus);
    arguments.sizes.num_words = corpus->vocabulary().num_words;
    arguments.blocks.separator =
        static_cast<int32_t>(arguments.sizes.num_words - 1);  // <|endoftext|>, the last word of a trained vocabulary
    if (arguments.blocks.context > arguments.sizes.max_positions) {
      throw ConfigError("--context " + std::to_string(arguments.blocks.context) + " is longer than --positions " +
                        std::to_string(arguments.sizes.max_positions));
    }
    if (arguments.sizes.width % arguments.sizes.num_heads != 0) {
      throw ConfigError("--width " + std::to_string(arguments.sizes.width) + " is no multiple of --heads " +
                        std::to_string(arguments.sizes.num_heads));
    }
    blocks.emplace(*corpus, arguments.blocks);
  });
  RecModel model = word_model(arguments.sizes, arguments.blocks.seed, *world,
                              open_device(context.mpi, {.device = arguments.device}));
  const auto rows = make_row_optimizer({});
  for (Table* table : {&model.collaborative, &model.content}) rows->reset(*table);
  TrainStep train_step(*world, model, *rows);
  DenseAdam adam(model.backbone->parameters());
  StepConfig config;
  config.lambda = 0;
  kernels::RowGradient none;

  const int64_t steps = arguments.epochs * blocks->steps_per_epoch();
  StageProgress progress("pretrain", steps, 0);
  for (int64_t step = 0; step < steps; ++step) {
    const Batch batch = blocks->batch(step / blocks->steps_per_epoch(), step % blocks->steps_per_epoch(), world->rank(),
                                      world->world_size());
    const StepLosses losses = train_step.gradients(batch, config, none);
    adam.clip_gradients(arguments.clip);
    adam.step(rate_at(arguments, step, steps));
    if (world->rank() == 0)
      progress.step({"", losses.loss, {{"lm", losses.lm}}, losses.num_sequences, losses.num_tokens}, "");
  }
  if (world->rank() == 0) progress.finish();
  const double held_out = train_step.gradients(blocks->held_out(world->rank(), world->world_size()), config, none).lm;
  collectively(*world, [&] {
    if (world->rank() == 0) save_backbone(arguments.output, *model.backbone);
  });
  context.log.info("held-out texts: " + std::to_string(held_out) + " nats per token; wrote " + arguments.output);
  return kDone;
}

}  // namespace

void add_pretrain_command(CLI::App& app, CommandContext& context) {
  auto arguments = std::make_shared<PretrainArguments>();
  CLI::App* const command =
      app.add_subcommand("pretrain-backbone", "Train a GPT-2 from scratch on a corpus' texts (data-parallel)");
  command->add_option("--corpus", arguments->corpus, "Corpus whose texts and tokenizer are used")->required();
  command->add_option("--output", arguments->output, "Folder for the model, Hugging Face layout")->required();
  command->add_option("--layers", arguments->sizes.num_layers)->check(CLI::PositiveNumber)->capture_default_str();
  command->add_option("--heads", arguments->sizes.num_heads)->check(CLI::PositiveNumber)->capture_default_str();
  command->add_option("--width", arguments->sizes.width)->check(CLI::PositiveNumber)->capture_default_str();
  command->add_option("--positions", arguments->sizes.max_positions, "Longest sequence")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_option("--context", arguments->blocks.context, "Tokens per training block")
      ->check(CLI::Range(2, 1 << 20))
      ->capture_default_str();
  command->add_option("--blocks", arguments->blocks.blocks_per_step, "Blocks per step, all ranks")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_option("--epochs", arguments->epochs)->check(CLI::PositiveNumber)->capture_default_str();
  command->add_option("--learning-rate", arguments->learning_rate)->check(CLI::PositiveNumber)->capture_default_str();
  command->add_option("--seed", arguments->blocks.seed)->capture_default_str();
  command->add_option("--device", arguments->device, "cpu | cuda")
      ->check(CLI::IsMember({"cpu", "cuda"}))
      ->capture_default_str();
  command->callback([=, &context] { context.action = [=, &context] { return pretrain(context, *arguments); }; });
}

}  // namespace cllm
