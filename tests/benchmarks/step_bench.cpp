// Times whole training steps (L, C, finetuning) the way ../shared/reference/speed_baseline.py does: batches of 20,
// histories capped, texts of about 60 random words, random frozen weights, Adam. One JSON line per step kind, and where
// its time goes.
//   step_bench CORPUS [--layers 12 --heads 12 --width 768 --vocab 50257 --precision fp32|bf16 --steps 8 --warmup 2
//   --threads 2
//              --max-items 128 --text-tokens 60 --users 0 --only l_step|c_step|finetune_step]
// --users N [N ...]: tables of so many user rows, of which the steps touch as many as without it, spread over all of
// them; with several sizes, steps of all sizes take turns, so that their ratio is free of what differs between two
// runs.

#include <ATen/Parallel.h>
#include <sys/resource.h>

#include <cstdio>

#include "dist/communicator/mpi_session.h"
#include "tests/benchmarks/step_subject.h"

namespace {

using namespace cllm;
using namespace cllm::bench;

void print(const Arguments& arguments, const char* name, const Subject& subject) {
  double total = 0;
  for (const double s : subject.seconds) total += s;
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const PhaseSeconds& sums = subject.sums;
  std::printf(
      "{\"step\": \"%s\", \"users\": %lld, \"median_s\": %.4f, \"sequences_per_s\": %.2f, \"tokens_per_s\": %.1f, "
      "\"peak_rss_mib\": %ld, "
      "\"phase_share\": {\"lookup\": %.3f, \"forward\": %.3f, \"head\": %.3f, \"backward\": %.3f, \"return\": %.3f, "
      "\"mr\": "
      "%.3f, \"update\": %.3f}}\n",
      name, static_cast<long long>(subject.vocabulary.num_users), median(subject.seconds),
      static_cast<double>(arguments.batch * arguments.steps) / total, static_cast<double>(subject.tokens) / total,
      usage.ru_maxrss / 1024, sums.lookup / total, sums.forward / total, sums.head / total, sums.backward / total,
      sums.give_back / total, sums.mr / total, sums.update / total);
  std::fflush(stdout);
}

void time_steps(const Arguments& arguments, const char* name, StepKind kind,
                std::vector<std::unique_ptr<Subject>>& subjects, Communicator& comm) {
  const StepConfig config = step_config();
  for (auto& subject : subjects) {
    subject->seconds.clear();
    subject->sums = {};
    subject->tokens = 0;
  }
  for (int64_t step = 0; step < arguments.warmup + arguments.steps; ++step) {
    for (auto& subject : subjects) {
      const RecBatch batch = subject->sequences.batch(kind, step, comm.rank(), comm.world_size());
      comm.barrier();
      Stopwatch watch;
      const StepLosses losses = subject->step.run(batch, config);
      if (step < arguments.warmup) continue;
      subject->seconds.push_back(watch.lap());
      subject->tokens += losses.num_tokens;
      const PhaseSeconds& p = subject->step.phases();
      PhaseSeconds& sums = subject->sums;
      sums = {sums.lookup + p.lookup,       sums.forward + p.forward, sums.head + p.head,    sums.backward + p.backward,
              sums.give_back + p.give_back, sums.mr + p.mr,           sums.update + p.update};
    }
  }
  if (comm.rank() != 0) return;
  for (const auto& subject : subjects) print(arguments, name, *subject);
}

}  // namespace

int main(int argc, char** argv) {
  MpiSession mpi(&argc, &argv);
  Arguments arguments;
  CLI::App app;
  add_options(app, arguments);
  CLI11_PARSE(app, argc, argv);
  at::set_num_threads(static_cast<int>(arguments.threads));

  const auto comm = mpi.world();
  const Corpus corpus = Corpus::open(arguments.corpus);
  if (arguments.users.empty()) arguments.users = {corpus.vocabulary().num_users};
  std::vector<std::unique_ptr<Subject>> subjects;
  for (const int64_t users : arguments.users)
    subjects.push_back(std::make_unique<Subject>(arguments, corpus, users, *comm));
  for (const auto& [name, kind] : {std::pair{"l_step", StepKind::kCollaborative},
                                   {"c_step", StepKind::kContent},
                                   {"finetune_step", StepKind::kRecommendation}}) {
    if (arguments.only.empty() || arguments.only == name) time_steps(arguments, name, kind, subjects, *comm);
  }
  return 0;
}
