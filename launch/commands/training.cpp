#include "launch/commands/training.h"

#include <algorithm>
#include <cstdio>

#include "checkpoints/directory.h"
#include "checkpoints/errors.h"
#include "launch/card/card.h"
#include "launch/failures/agree.h"
#include "launch/failures/exit_codes.h"
#include "launch/output/baselines.h"
#include "launch/output/report.h"
#include "launch/plan/memory_plan.h"
#include "launch/run/connect.h"
#include "launch/run/restore.h"
#include "launch/run/start_print.h"
#include "launch/run/train_state.h"
#include "launch/run/trainer.h"
#include "launch/supervision/restart_guard.h"
#include "launch/supervision/watchdog.h"

namespace cllm {
namespace {

/// What rank 0 leaves behind a finished run for people: the table, and report.html.
void present(const RunConfig& config, const TrainOutcome& outcome) {
  write_baselines(config.run.dir, outcome.baselines);
  if (outcome.tested) std::printf("%s", metrics_table("test", outcome.baselines, outcome.test, config.model).c_str());
  if (config.log.report) write_report(config.run.dir);
}

/// MPI's own deadline, behind those of the watchdog, which says more.
double backstop_s(const RunSection& run) {
  if (run.deadline_s == 0) return 0;
  return std::max({run.deadline_s, run.startup_deadline_s, run.load_deadline_s, run.save_deadline_s}) + 30;
}

/// A run that has a checkpoint of its own goes on from it, and needs init.run no more. "": it starts from that.
/// Collective.
std::string goes_on_without_old_run(const RunConfig& config, Communicator& comm) {
  const bool gone = broadcast_string(comm, std::filesystem::exists(config.init.run) ? "" : "gone", 0) == "gone";
  if (!gone || !find_latest(comm, RunFolder(config.run.dir).checkpoints(), nullptr)) return "";
  return "init.run = " + config.init.run + " is not there any more; this run goes on from its own checkpoint";
}

/// Opens everything; a failure that a person must mend is no crash.
std::unique_ptr<Workspace> open(const RunConfig& config, MpiSession& mpi, const Channels& channels,
                                const ConnectOptions& options, const TrafficWatch& traffic, Log& log) {
  try {
    auto workspace =
        open_workspace(config, mpi, channels,
                       {.device = open_device(mpi, options),
                        .levels = connect_levels(mpi, channels.world, config.run.ranks_per_node, options, traffic),
                        .to_train = true});
    if (config.init.run.empty()) return workspace;
    if (const std::string gone = goes_on_without_old_run(config, channels.world); !gone.empty()) {
      log.info(gone);
      return workspace;
    }
    const BestState start = start_from(*workspace, channels.world, RunFolder(config.init.run));
    if (!start.line.empty()) log.info(start.line);
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
TrainOutcome train(CommandContext& context, const RunConfig& config, Supervision& supervision,
                   const TrainingOptions& how) {
  MpiSession& mpi = context.mpi;
  const ConnectOptions options{.device = config.run.device,
                               .deadline_s = backstop_s(config.run),
                               .share_gpus = how.share_gpus,
                               .stalls = config.log.trace ? &supervision.main : nullptr};
  const TrafficWatch traffic{supervision.main, supervision.background, supervision.failpoints};
  const RunChannels channels = connect_run(mpi, options, traffic);
  const auto workspace = open(config, mpi, channels.of_step(), options, traffic, context.log);
  collectively(*channels.world, [&] {
    if (mpi.rank() != 0) return;
    RunFolder(config.run.dir)
        .bind_inputs({.corpus = workspace->corpus.fingerprint(),
                      .backbone = fingerprint_of_frozen(workspace->model->store()),
                      .other_run = workspace->other_run});
  });
  supervision.failpoints.at("start.opened");
  Trainer trainer(*workspace, context.log, supervision, how.trial.value_or(TrialOptions()));
  const MemoryPlan memory = rehearse(*workspace->model, workspace->corpus, *channels.world,
                                     {config.evaluation.batch_users, workspace->device});
  if (mpi.rank() == 0) context.log.info(start_print(*workspace, memory, mpi.world_size()));
  TrainOutcome outcome = run(trainer, mpi.rank());
  if (!outcome.interrupted && how.when_done) how.when_done(*workspace, *channels.world);
  context.log.info(compare_with_peak(memory, *channels.world));
  if (how.trial) return outcome;
  if (!outcome.interrupted) trainer.add_baselines(outcome);
  if (!outcome.interrupted && mpi.rank() == 0 && workspace->model->ranks())
    write_card(*workspace, outcome, mpi.world_size());
  return outcome;
}

}  // namespace

/// What rank 0 does to the run folder before anything else: nobody else uses it, it fits the configuration, it is no
/// crash loop.
void enter(const RunConfig& config, bool fresh, std::optional<RunLock>& lock) {
  lock.emplace(config.run.dir);
  const RunFolder folder(config.run.dir);
  folder.prepare(config, fresh);
  const auto steps = step_folders(folder.checkpoints());
  const RestartGuard guard(folder.dir());
  if (fresh) guard.forgive();
  guard.count_start(steps.empty() ? -1 : *step_of_name(steps.front().filename()), config.run.max_restarts);
  HeartbeatBoard(folder.heartbeats()).clear();
}

namespace {

/// `last`: what follows it under the eyes of the watchdog.
TrainOutcome train_watched(CommandContext& context, const RunConfig& config, Supervision& supervision,
                           const TrainingOptions& how, const std::function<void()>& last) {
  MpiSession& mpi = context.mpi;
  context.log.attach_file(config.run.dir);
  supervision.failpoints.at("start.configured");
  supervision.main.begin("start-up", 0, config.run.startup_deadline_s);
  const Watchdog watchdog(HeartbeatBoard(RunFolder(config.run.dir).heartbeats()), mpi.rank(), mpi.world_size(),
                          context.log, {&supervision.main, &supervision.background});
  TrainOutcome outcome = train(context, config, supervision, how);
  last();
  supervision.main.end();
  return outcome;
}

}  // namespace

TrainOutcome train_a_while(CommandContext& context, const RunConfig& config, Supervision& supervision,
                           const TrainingOptions& how) {
  return train_watched(context, config, supervision, how, [] {});
}

int train_in_folder(CommandContext& context, const RunConfig& config, Supervision& supervision,
                    const TrainingOptions& how) {
  MpiSession& mpi = context.mpi;
  const TrainOutcome outcome = train_watched(context, config, supervision, how, [&] {
    supervision.main.begin("end of MPI", 0, config.run.deadline_s);
    if (context.may_end_mpi) mpi.finalize();
  });
  if (outcome.interrupted) return kInterruptedAfterSaving;
  if (mpi.rank() != 0) return kDone;
  RestartGuard(config.run.dir).forgive();
  present(config, outcome);
  return kDone;
}

}  // namespace cllm
