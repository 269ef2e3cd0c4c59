#include <CLI/CLI.hpp>
#include <cstdio>

#include "launch/agree.h"
#include "launch/baselines.h"
#include "launch/commands/command_line.h"
#include "launch/exit_codes.h"
#include "launch/ranker.h"
#include "launch/report.h"
#include "launch/restore.h"
#include "launch/start_print.h"
#include "launch/trainer.h"

namespace cllm {
namespace {

struct TrainArguments {
  std::string file;
  bool fresh = false, print_config = false, help_config = false;
};

/// What rank 0 leaves behind a finished run for people: the table, and report.html.
void present(const Workspace& workspace, const TrainOutcome& outcome) {
  const RunConfig& config = workspace.config;
  auto rows = evaluate_baselines(workspace.corpus, {config.evaluation.recall_k, config.evaluation.ndcg_k, Part::kTest});
  write_baselines(config.run.dir, rows);
  std::printf("%s", metrics_table(rows, outcome.test).c_str());
  if (config.log.report) write_report(config.run.dir);
}

int train(CommandContext& context, const TrainArguments& arguments, const std::vector<std::string>& overrides) {
  MpiSession& mpi = context.mpi;
  if (arguments.help_config) return context.on_rank_0([] { std::printf("%s", config_help().c_str()); });
  RunConfig config;
  collectively(*mpi.world(), [&] {
    config = load_config(arguments.file, overrides);
    if (mpi.rank() != 0) return;
    if (arguments.print_config) std::printf("%s", to_toml(config).c_str());
    if (!arguments.print_config) RunFolder(config.run.dir).prepare(config, arguments.fresh);
  });
  if (arguments.print_config) return kDone;
  context.log.attach_file(config.run.dir);
  auto world = mpi.world(config.run.deadline_s);
  const auto workspace = open_workspace(config, mpi, *world);
  if (!config.init.run.empty()) start_from(*workspace, *world, RunFolder(config.init.run));
  Trainer trainer(*workspace, *world, context.log);
  const MemoryPlan memory = rehearse(*workspace, trainer.schedule(), *world);
  if (mpi.rank() == 0) context.log.info(start_print(*workspace, trainer.schedule(), memory, mpi.world_size()));
  const TrainOutcome outcome = trainer.run();
  context.log.info(compare_with_peak(memory, *world));
  if (outcome.interrupted) return kInterruptedAfterSaving;
  collectively(*world, [&] {
    if (mpi.rank() == 0) present(*workspace, outcome);
  });
  return kDone;
}

}  // namespace

void add_train_command(CLI::App& app, CommandContext& context) {
  auto arguments = std::make_shared<TrainArguments>();
  CLI::App* const command = app.add_subcommand("train", "Train, or go on with a run: mpirun -n R cllm4rec train run.toml --section.key=value");
  command->add_option("config", arguments->file, "TOML file; without one all keys have their defaults");
  command->add_flag("--fresh", arguments->fresh, "Start over: remove the run folder's checkpoints");
  command->add_flag("--print-config", arguments->print_config, "Print the resolved configuration and stop");
  command->add_flag("--help-config", arguments->help_config, "List all keys of the configuration and stop");
  command->allow_extras();
  command->callback([=, &context] {
    const std::vector<std::string> overrides = command->remaining();
    context.action = [=, &context] { return train(context, *arguments, overrides); };
  });
}

}  // namespace cllm
