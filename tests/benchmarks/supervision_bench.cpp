// What supervision costs a step that nothing disturbs: steps with and without it, in turn, in one process. With: the
// watched communicator, all failpoints of a step (off), the meeting before it, the heartbeat, and the digests of what
// all ranks hold alike, every 100 steps. One JSON line per step kind, with the medians, and what digests and meeting
// take alone.
//   mpirun -n 2 supervision_bench CORPUS DIR [options of step_bench]

#include <ATen/Parallel.h>

#include <cstdio>
#include <filesystem>

#include "checkpoints/writer.h"
#include "dist/communicator/mpi_session.h"
#include "dist/communicator/watched_communicator.h"
#include "launch/output/log.h"
#include "launch/run/train_state.h"
#include "launch/supervision/replica_guard.h"
#include "launch/supervision/run_control.h"
#include "launch/supervision/watchdog.h"
#include "tests/benchmarks/step_subject.h"

namespace {

using namespace cllm;
using namespace cllm::bench;

constexpr int64_t kCheckSteps = 100;  // run.replica_check_steps

/// A model that is trained as the trainer does it.
class Supervised {
 public:
  Supervised(const Arguments& arguments, const Corpus& corpus, MpiSession& mpi, Log& log, const std::string& dir)
      : comm_(watch(mpi.world(600), "world", {supervision_.main, supervision_.background, supervision_.failpoints})),
        subject_(arguments, corpus, corpus.vocabulary().num_users, *comm_), control_(*comm_, log, supervision_, 0),
        replicas_(
            *comm_, [this] { return view_replicas(frozen()); }, kCheckSteps),
        writer_(*comm_, dir, {}), watchdog_(HeartbeatBoard(dir), mpi.rank(), mpi.world_size(), log,
                                            {&supervision_.main, &supervision_.background}) {}

  Subject& subject() { return subject_; }

  void step(const RecBatch& batch, const StepConfig& config, int64_t number) {
    before_step(number);
    const double begin_s = Activity::now_s(), waited_s = supervision_.main.waited_s();
    const StepLosses losses = subject_.step.run(batch, config);
    control_.step_done(Activity::now_s() - begin_s, supervision_.main.waited_s() - waited_s, losses.num_tokens,
                       subject_.step.non_finite());
  }

  /// All that comes before a step.
  void before_step(int64_t number) {
    supervision_.main.begin("meeting before the step", number, 600);
    control_.meet(number, writer_, false, [] { return true; });
    supervision_.main.begin("training step", number, 600);
    for (const std::string_view name : Failpoints::names().first(12)) supervision_.failpoints.at(name);
  }

  double check_s() {
    Stopwatch watch;
    replicas_.compare(++checks_);
    return watch.lap();
  }

 private:
  /// What the ranks of such a run hold alike.
  Store frozen() const {
    Store out;
    for (const auto& [name, tensor] : subject_.model.backbone->parameters()) out.frozen.push_back({name, tensor});
    return out;
  }

  Supervision supervision_;
  std::unique_ptr<Communicator> comm_;
  Subject subject_;
  RunControl control_;
  ReplicaGuard replicas_;
  CheckpointWriter writer_;
  Watchdog watchdog_;
  int64_t checks_ = 0;
};

/// Seconds of the meeting and what surrounds it, when no rank has to wait for another's step.
double meeting_s(Supervised& supervised) {
  std::vector<double> seconds;
  for (int64_t n = 0; n < 2000; ++n) {
    Stopwatch watch;
    supervised.before_step(n);
    seconds.push_back(watch.lap());
  }
  return median(seconds);
}

void compare(const Arguments& arguments, const char* name, StepKind kind, Subject& plain, Supervised& supervised,
             Communicator& comm) {
  const StepConfig config = step_config();
  std::vector<double> without, with, checks;
  for (int64_t step = 0; step < arguments.warmup + arguments.steps; ++step) {
    const RecBatch batch = plain.sequences.batch(kind, step, comm.rank(), comm.world_size());
    double seconds[2];
    for (const int64_t turn : {step % 2, 1 - step % 2}) {  // neither is always the first
      comm.barrier();
      Stopwatch watch;
      if (turn == 0) plain.step.run(batch, config);
      if (turn == 1) supervised.step(batch, config, step);
      comm.barrier();
      seconds[turn] = watch.lap();
    }
    if (step < arguments.warmup) continue;
    without.push_back(seconds[0]);
    with.push_back(seconds[1]);
    if (checks.size() < 5) checks.push_back(supervised.check_s());
  }
  const double meet_s = meeting_s(supervised);
  if (comm.rank() != 0) return;
  const double plain_s = median(without), check_s = median(checks) / kCheckSteps, supervised_s = median(with) + check_s;
  std::printf(
      "{\"step\": \"%s\", \"without_s\": %.6f, \"with_s\": %.6f, \"digests_s\": %.6f, \"meeting_s\": %.6f, \"cost\": "
      "%.4f}\n",
      name, plain_s, supervised_s, check_s, meet_s, supervised_s / plain_s - 1);
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  MpiSession mpi(&argc, &argv);
  Arguments arguments;
  std::string dir;
  CLI::App app;
  add_options(app, arguments);
  app.add_option("dir", dir)->required();
  CLI11_PARSE(app, argc, argv);
  at::set_num_threads(static_cast<int>(arguments.threads));

  const auto comm = mpi.world();
  if (mpi.rank() == 0) std::filesystem::create_directories(dir);
  comm->barrier();
  Log log(mpi.rank(), mpi.world_size());
  const Corpus corpus = Corpus::open(arguments.corpus);
  Subject plain(arguments, corpus, corpus.vocabulary().num_users, *comm);
  Supervised supervised(arguments, corpus, mpi, log, dir);
  for (const auto& [name, kind] : {std::pair{"l_step", StepKind::kCollaborative},
                                   {"c_step", StepKind::kContent},
                                   {"finetune_step", StepKind::kRecommendation}}) {
    if (arguments.only.empty() || arguments.only == name) compare(arguments, name, kind, plain, supervised, *comm);
  }
  return 0;
}
