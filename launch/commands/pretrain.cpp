#include <CLI/CLI.hpp>

#include "launch/commands/command_line.h"
#include "launch/commands/number_checks.h"
#include "launch/commands/training.h"
#include "launch/failures/agree.h"
#include "launch/failures/errors.h"
#include "launch/failures/exit_codes.h"
#include "model/recommenders/language_model/language_model.h"

namespace cllm {
namespace {

struct PretrainArguments {
  std::string corpus, output, device = "cpu";
  LanguageModelOptions model;
  int64_t seed = 0;
  bool fresh = false;
};

RunConfig config_of(const PretrainArguments& arguments) {
  RunConfig config = default_config("language_model");
  config.run.dir = arguments.output + "/run";
  config.run.corpus = arguments.corpus;
  config.run.seed = arguments.seed;
  config.run.device = arguments.device;
  config.options = std::make_shared<LanguageModelOptions>(arguments.model);
  const LanguageModelOptions& model = arguments.model;  // what problem() says, in the words of this command line
  if (model.context > model.positions) {
    throw ConfigError("--context " + std::to_string(model.context) + " is longer than --positions " +
                      std::to_string(model.positions));
  }
  if (model.width % model.heads != 0) {
    throw ConfigError("--width " + std::to_string(model.width) + " is no multiple of --heads " +
                      std::to_string(model.heads));
  }
  return config;
}

int pretrain(CommandContext& context, const PretrainArguments& arguments) {
  RunConfig config;
  Supervision supervision;
  std::optional<RunLock> lock;  // of rank 0, until the command ends
  collectively(*context.mpi.world(), [&] {
    config = config_of(arguments);
    if (context.mpi.rank() == 0) enter(config, arguments.fresh, lock);
  });
  const auto write = [&](Workspace& workspace, Communicator& world) {
    const auto& model = dynamic_cast<const LanguageModel&>(*workspace.model);
    collectively(world, [&] {
      if (world.rank() == 0) model.save(arguments.output);
    });
    context.log.info("wrote " + arguments.output);
  };
  return train_in_folder(context, config, supervision, {.when_done = write});
}

}  // namespace

void add_pretrain_command(CLI::App& app, CommandContext& context) {
  auto arguments = std::make_shared<PretrainArguments>();
  CLI::App* const command = app.add_subcommand(
      "pretrain-backbone",
      "Train a GPT-2 from scratch on a corpus' texts: a run of model.name = language_model in OUTPUT/run");
  command->add_option("--corpus", arguments->corpus, "Corpus whose texts and tokenizer are used")->required();
  command->add_option("--output", arguments->output, "Folder for the model, Hugging Face layout")->required();
  command->add_option("--layers", arguments->model.layers)->check(kPositive)->capture_default_str();
  command->add_option("--heads", arguments->model.heads)->check(kPositive)->capture_default_str();
  command->add_option("--width", arguments->model.width)->check(kPositive)->capture_default_str();
  command->add_option("--positions", arguments->model.positions, "Longest sequence")
      ->check(kPositive)
      ->capture_default_str();
  command->add_option("--context", arguments->model.context, "Tokens per training block")
      ->check(CLI::Range(2, 1 << 20))
      ->capture_default_str();
  command->add_option("--blocks", arguments->model.blocks, "Blocks per step, all ranks")
      ->check(kPositive)
      ->capture_default_str();
  command->add_option("--epochs", arguments->model.epochs)->check(kPositive)->capture_default_str();
  command->add_option("--learning-rate", arguments->model.learning_rate)->check(kPositive)->capture_default_str();
  command->add_option("--seed", arguments->seed)->capture_default_str();
  command->add_flag("--fresh", arguments->fresh, "Start over, instead of going on with OUTPUT/run");
  command->add_option("--device", arguments->device, "cpu | cuda")
      ->check(CLI::IsMember({"cpu", "cuda"}))
      ->capture_default_str();
  command->callback([=, &context] { context.action = [=, &context] { return pretrain(context, *arguments); }; });
}

}  // namespace cllm
