#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <optional>
#include <stdexcept>

#include "checkpoints/directory.h"
#include "checkpoints/errors.h"
#include "launch/commands/command_line.h"
#include "launch/failures/agree.h"
#include "launch/failures/errors.h"
#include "launch/failures/exit_codes.h"
#include "launch/output/report.h"
#include "launch/run/baselines.h"
#include "launch/run/connect.h"
#include "launch/run/ranker.h"
#include "launch/run/restore.h"
#include "launch/run/start_print.h"
#include "launch/run/trainer.h"
#include "launch/supervision/restart_guard.h"
#include "launch/supervision/run_lock.h"
#include "launch/supervision/watchdog.h"
#include "model/backbones/graphed_backbone.h"

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

/// What rank 0 leaves behind a finished run for people: the table, and report.html.
void present(const RunConfig& config, const TrainOutcome& outcome) {
  auto rows = evaluate_baselines(Corpus::open(config.run.corpus),
                                 {.metrics = {config.evaluation.recall_k, config.evaluation.ndcg_k}});
  write_baselines(config.run.dir, rows);
  std::printf("%s", metrics_table(rows, outcome.test).c_str());
  if (config.log.report) write_report(config.run.dir);
}

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

/// What rank 0 does to the run folder before anything else: nobody else uses it, it fits the configuration, it is no
/// crash loop.
void enter(const RunConfig& config, const TrainArguments& arguments, std::optional<RunLock>& lock) {
  lock.emplace(config.run.dir);
  const RunFolder folder(config.run.dir);
  folder.prepare(config, arguments.fresh);
  const auto steps = step_folders(folder.checkpoints());
  const RestartGuard guard(folder.dir());
  if (arguments.fresh) guard.forgive();
  guard.count_start(steps.empty() ? -1 : *step_of_name(steps.front().filename()), config.run.max_restarts);
  HeartbeatBoard(folder.heartbeats()).clear();
}

/// MPI's own deadline, behind those of the watchdog, which says more.
double backstop_s(const RunSection& run) {
  if (run.deadline_s == 0) return 0;
  return std::max({run.deadline_s, run.startup_deadline_s, run.load_deadline_s, run.save_deadline_s}) + 30;
}

/// Opens everything; a failure that a person must mend is no crash.
std::unique_ptr<Workspace> open(const RunConfig& config, MpiSession& mpi, Communicator& world,
                                const ConnectOptions& options, const TrafficWatch& traffic) {
  try {
    auto workspace = open_workspace(config, mpi, world, open_device(mpi, options));
    workspace->levels = connect_levels(mpi, world, config.run.ranks_per_node, options, traffic);
    if (!config.init.run.empty()) start_from(*workspace, world, RunFolder(config.init.run));
    if (config.run.graph_tokens > 0) {
      std::shared_ptr<Backbone>& backbone = workspace->model.backbone;
      backbone = std::make_shared<GraphedBackbone>(std::move(backbone), config.run.graph_tokens, workspace->device);
    }
    return workspace;
  } catch (const AgreedFailure&) {
    if (mpi.rank() == 0) RestartGuard(config.run.dir).forgive();
    throw;
  }
}

/// Checkpoints are found, loaded and saved by all ranks together: a failure there is known to all of them.
TrainOutcome run(Trainer& trainer, int rank) {
  try {
    return trainer.run();
  } catch (const CheckpointError& error) {
    throw AgreedFailure(error.exit_code(), rank == 0 ? error.what() : "");
  }
}

/// All that the ranks do together.
TrainOutcome train(CommandContext& context, const RunConfig& config, Supervision& supervision, bool share_gpus) {
  MpiSession& mpi = context.mpi;
  const ConnectOptions options{.device = config.run.device,
                               .deadline_s = backstop_s(config.run),
                               .share_gpus = share_gpus,
                               .stalls = config.log.trace ? &supervision.main : nullptr};
  const TrafficWatch traffic{supervision.main, supervision.background, supervision.failpoints};
  const RunChannels channels = connect_run(mpi, options, traffic);
  const auto workspace = open(config, mpi, *channels.world, options, traffic);
  supervision.failpoints.at("start.opened");
  Trainer trainer(*workspace, channels.of_step(), context.log, supervision);
  const MemoryPlan memory = rehearse(*workspace, trainer.schedule(), channels.of_step());
  if (mpi.rank() == 0) context.log.info(start_print(*workspace, trainer.schedule(), memory, mpi.world_size()));
  TrainOutcome outcome = run(trainer, mpi.rank());
  context.log.info(compare_with_peak(memory, *channels.world));
  return outcome;
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
    supervision.limit = TimeLimit(arguments.max_seconds, arguments.stop_before);
    arm(supervision.failpoints, arguments, mpi.rank());
    if (mpi.rank() != 0) return;
    if (arguments.print_config) std::printf("%s", to_toml(config).c_str());
    if (!arguments.print_config) enter(config, arguments, lock);
  });
  if (arguments.print_config) return kDone;
  context.log.attach_file(config.run.dir);
  if (lock && !lock->held())
    context.log.warn(config.run.dir + ": its file system has no locks; start no second job on this run");
  supervision.failpoints.at("start.configured");
  supervision.main.begin("start-up", 0, config.run.startup_deadline_s);
  const Watchdog watchdog(HeartbeatBoard(RunFolder(config.run.dir).heartbeats()), mpi.rank(), mpi.world_size(),
                          context.log, {&supervision.main, &supervision.background});
  const TrainOutcome outcome = train(context, config, supervision, arguments.share_gpus);
  supervision.main.begin("end of MPI", 0, config.run.deadline_s);
  if (context.may_end_mpi) mpi.finalize();
  supervision.main.end();
  if (outcome.interrupted) return kInterruptedAfterSaving;
  if (mpi.rank() != 0) return kDone;
  RestartGuard(config.run.dir).forgive();
  present(config, outcome);
  return kDone;
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
      ->check(CLI::NonNegativeNumber);
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
