#include <CLI/CLI.hpp>
#include <cstdio>
#include <optional>
#include <stdexcept>

#include "launch/commands/command_line.h"
#include "launch/commands/number_checks.h"
#include "launch/commands/training.h"
#include "launch/config/paths.h"
#include "launch/failures/agree.h"
#include "launch/failures/errors.h"
#include "launch/failures/exit_codes.h"

namespace cllm {
namespace {

struct TrainArguments {
  std::string file;
  bool fresh = false, print_config = false, help_config = false, list_failpoints = false, allow_failpoints = false,
       share_gpus = false;
  double max_seconds = 0;
  std::string stop_before;
  std::vector<std::string> failpoints;
};

void arm(Failpoints& failpoints, const TrainArguments& arguments, int rank) {
  if (arguments.failpoints.empty()) return;
  if (!arguments.allow_failpoints)
    throw ConfigError("--failpoint makes the run fail on purpose: it needs --allow-failpoints");
  try {
    for (const std::string& text : arguments.failpoints) failpoints.arm(text, rank);
  } catch (const std::invalid_argument& error) {
    throw ConfigError(error.what());
  }
}

int train(CommandContext& context, const TrainArguments& arguments, const std::vector<std::string>& overrides) {
  MpiSession& mpi = context.mpi;
  if (arguments.help_config) return context.on_rank_0([] { std::printf("%s", config_help().c_str()); });
  if (arguments.list_failpoints) {
    return context.on_rank_0([] {
      for (const std::string_view name : Failpoints::names())
        std::printf("%.*s\n", static_cast<int>(name.size()), name.data());
    });
  }
  RunConfig config;
  Supervision supervision;
  std::optional<RunLock> lock;  // of rank 0, until the command ends
  collectively(*mpi.world(), [&] {
    config = load_config(arguments.file, overrides);
    if (!arguments.print_config) make_paths_absolute(config);
    supervision.limit = TimeLimit(arguments.max_seconds, arguments.stop_before);
    arm(supervision.failpoints, arguments, mpi.rank());
    if (mpi.rank() != 0) return;
    if (arguments.print_config) std::printf("%s", to_toml(config).c_str());
    if (!arguments.print_config) enter(config, arguments.fresh, lock);
  });
  if (arguments.print_config) return kDone;
  if (lock && !lock->held())
    context.log.warn(config.run.dir + ": its file system has no locks; start no second job on this run");
  return train_in_folder(context, config, supervision, {.share_gpus = arguments.share_gpus});
}

}  // namespace

void add_train_command(CLI::App& app, CommandContext& context) {
  auto arguments = std::make_shared<TrainArguments>();
  CLI::App* const command = app.add_subcommand(
      "train", "Train, or go on with a run: mpirun -n R cllm4rec train run.toml --section.key=value");
  command->add_option("config", arguments->file, "TOML file; without one all keys have their defaults");
  command->add_flag("--fresh", arguments->fresh, "Start over: remove the run folder's checkpoints");
  command->add_flag("--print-config", arguments->print_config, "Print the resolved configuration and stop");
  command
      ->add_option("--max-seconds", arguments->max_seconds,
                   "Save and stop in time to end within so many seconds from now (exit code 75)")
      ->check(kNotNegative);
  command->add_option(
      "--stop-before", arguments->stop_before,
      "The same for a moment: SLURM_JOB_END (of the environment's SLURM_JOB_END_TIME), or seconds since 1970");
  command
      ->add_option("--failpoint", arguments->failpoints,
                   "For tests: NAME:ACTION[@N[+]][#RANK], fail at a named place (dist/README.md)")
      ->allow_extra_args(false);
  command->add_flag("--allow-failpoints", arguments->allow_failpoints, "Without it --failpoint is refused");
  command->add_flag("--share-gpus", arguments->share_gpus,
                    "For tests: with more ranks than GPUs on a host several take the same one, instead of a refusal");
  command->add_flag("--list-failpoints", arguments->list_failpoints, "List the named places and stop");
  command->add_flag("--help-config", arguments->help_config, "List all keys of the configuration and stop");
  command->allow_extras();
  command->callback([=, &context] {
    const std::vector<std::string> overrides = command->remaining();
    context.action = [=, &context] { return train(context, *arguments, overrides); };
  });
}

}  // namespace cllm
