// Times whole training steps (L, C, finetuning) the way ../shared/reference/speed_baseline.py does: batches of 20, histories capped, texts
// of about 60 random words, random frozen weights, Adam. One JSON line per step kind, and where its time goes.
//   step_bench CORPUS [--layers 12 --heads 12 --width 768 --vocab 50257 --precision fp32|bf16 --steps 8 --warmup 2 --threads 2
//              --max-items 128 --text-tokens 60 --users 0 --only l_step|c_step|finetune_step]
// --users N [N ...]: tables of so many user rows, of which the steps touch as many as without it, spread over all of them; with several
// sizes, steps of all sizes take turns, so that their ratio is free of what differs between two runs.

#include <ATen/Parallel.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>

#include "data/corpus/corpus.h"
#include "data/random.h"
#include "data/sampling/assign.h"
#include "data/sampling/collate.h"
#include "dist/mpi_session.h"
#include "model/gpt2.h"
#include "model/train_step.h"

namespace {

using namespace cllm;

struct Arguments {
  std::string corpus, precision = "fp32", only;
  Gpt2Config sizes;
  int64_t steps = 8, warmup = 2, threads = 2, max_items = 128, text_tokens = 60, batch = 20;
  std::vector<int64_t> users;
};

/// The sequences of one global batch, from the training histories of a corpus in turn.
class Sequences {
 public:
  Sequences(const Arguments& arguments, const Corpus& corpus, const Vocabulary& vocabulary)
      : arguments_(arguments), vocabulary_(vocabulary) {
    const int64_t num_histories = corpus.vocabulary().num_users, spread = vocabulary.num_users / num_histories;
    for (int64_t user = 0; user < num_histories; ++user) {
      const auto items = corpus.items(user, Part::kTrain);
      if (!items.empty())
        histories_.emplace_back(user * spread, items.first(std::min(items.size(), static_cast<size_t>(arguments.max_items))));
    }
  }

  Sequence make(StepKind kind, int64_t n) {
    CounterRng rng(stream_key(7, Purpose::kDemoData, static_cast<uint64_t>(n), static_cast<uint64_t>(kind)));
    const auto& [user, items] = histories_[static_cast<size_t>(n) % histories_.size()];
    const auto words = [&](std::vector<int32_t>& out, int64_t count) {
      for (int64_t w = 0; w < count; ++w)
        out.push_back(static_cast<int32_t>(rng.below(static_cast<uint64_t>(vocabulary_.num_words))));
    };
    Sequence out{.prompt = {vocabulary_.user_token(user)}, .key = rng.next()};
    if (kind == StepKind::kContent) {
      words(out.prompt, 5);
      out.prompt.push_back(vocabulary_.item_token(static_cast<int64_t>(rng.below(static_cast<uint64_t>(vocabulary_.num_items)))));
      words(out.prompt, 1);
      words(out.main, std::max<int64_t>(
                          2, arguments_.text_tokens + static_cast<int64_t>(rng.normal() * std::sqrt(arguments_.text_tokens))));
      return out;
    }
    words(out.prompt, 3);
    if (kind == StepKind::kCollaborative) {
      for (const int32_t item : items) out.main.push_back(vocabulary_.item_token(item));
      return out;
    }
    const size_t held_out = std::max<size_t>(1, items.size() / 5);
    for (const int32_t item : items.subspan(held_out)) out.prompt.push_back(vocabulary_.item_token(item));
    words(out.prompt, 1);
    out.prompt.push_back(vocabulary_.user_token(user));
    words(out.prompt, 3);
    out.targets.assign(items.begin(), items.end());
    return out;
  }

  Batch batch(StepKind kind, int64_t step, int rank, int world_size) {
    std::vector<Sequence> all;
    std::vector<int64_t> lengths;
    GroupTotals totals{{0}};
    for (int64_t n = 0; n < arguments_.batch; ++n) {
      all.push_back(make(kind, step * arguments_.batch + n));
      lengths.push_back(static_cast<int64_t>(all.back().prompt.size() + all.back().main.size()));
      totals.terms[0] += num_loss_terms(kind, LossOptions::release(), static_cast<int64_t>(all.back().main.size()));
    }
    const auto ranks = assign_balanced(lengths, world_size);
    std::vector<Sequence> mine;
    for (size_t n = 0; n < all.size(); ++n) {
      if (ranks[n] == rank) mine.push_back(std::move(all[n]));
    }
    return collate(mine, kind, totals, vocabulary_, LossOptions::release());
  }

 private:
  const Arguments& arguments_;
  Vocabulary vocabulary_;
  std::vector<std::pair<int64_t, std::span<const int32_t>>> histories_;
};

RecModel make_model(const Arguments& arguments, const Vocabulary& vocabulary, const Communicator& comm) {
  RecModel model;
  model.backbone = make_gpt2(arguments.sizes, 1, {at::kFloat, arguments.precision == "bf16" ? at::kBFloat16 : at::kFloat});
  const TableLayout layout(vocabulary.num_users, vocabulary.num_items, comm.rank(), comm.world_size());
  model.collaborative = make_random_table(layout, arguments.sizes.width, at::kFloat, 1, Side::kCollaborative);
  model.content = make_random_table(layout, arguments.sizes.width, at::kFloat, 1, Side::kContent);
  return model;
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

/// One size of tables, with what steps on it.
struct Subject {
  Subject(const Arguments& arguments, const Corpus& corpus, int64_t num_users, Communicator& comm)
      : vocabulary{arguments.sizes.num_words, num_users, corpus.vocabulary().num_items}, sequences(arguments, corpus, vocabulary),
        model(make_model(arguments, vocabulary, comm)), optimizer(make_row_optimizer({})), step(comm, model, *optimizer) {
    for (Table* table : {&model.collaborative, &model.content}) optimizer->reset(*table);
  }

  Vocabulary vocabulary;
  Sequences sequences;
  RecModel model;
  std::unique_ptr<RowOptimizer> optimizer;
  TrainStep step;
  std::vector<double> seconds = {};
  PhaseSeconds sums = {};
  int64_t tokens = 0;
};

void print(const Arguments& arguments, const char* name, const Subject& subject) {
  double total = 0;
  for (const double s : subject.seconds) total += s;
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const PhaseSeconds& sums = subject.sums;
  std::printf(
      "{\"step\": \"%s\", \"users\": %lld, \"median_s\": %.4f, \"sequences_per_s\": %.2f, \"tokens_per_s\": %.1f, "
      "\"peak_rss_mib\": %ld, "
      "\"phase_share\": {\"lookup\": %.3f, \"forward\": %.3f, \"head\": %.3f, \"backward\": %.3f, \"return\": %.3f, \"mr\": "
      "%.3f, \"update\": %.3f}}\n",
      name, static_cast<long long>(subject.vocabulary.num_users), median(subject.seconds),
      static_cast<double>(arguments.batch * arguments.steps) / total, static_cast<double>(subject.tokens) / total,
      usage.ru_maxrss / 1024, sums.lookup / total, sums.forward / total, sums.head / total, sums.backward / total,
      sums.give_back / total, sums.mr / total, sums.update / total);
  std::fflush(stdout);
}

void time_steps(const Arguments& arguments, const char* name, StepKind kind, std::vector<std::unique_ptr<Subject>>& subjects,
                Communicator& comm) {
  StepConfig config;
  config.dropout = {0.1, 0.1, 0.1};  // as the baseline, which leaves the library's model in training mode
  for (auto& subject : subjects) {
    subject->seconds.clear();
    subject->sums = {};
    subject->tokens = 0;
  }
  for (int64_t step = 0; step < arguments.warmup + arguments.steps; ++step) {
    for (auto& subject : subjects) {
      const Batch batch = subject->sequences.batch(kind, step, comm.rank(), comm.world_size());
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
  app.add_option("corpus", arguments.corpus)->required();
  app.add_option("--layers", arguments.sizes.num_layers);
  app.add_option("--heads", arguments.sizes.num_heads);
  app.add_option("--width", arguments.sizes.width);
  app.add_option("--vocab", arguments.sizes.num_words);
  app.add_option("--precision", arguments.precision)->check(CLI::IsMember({"fp32", "bf16"}));
  app.add_option("--steps", arguments.steps);
  app.add_option("--warmup", arguments.warmup);
  app.add_option("--threads", arguments.threads);
  app.add_option("--max-items", arguments.max_items);
  app.add_option("--text-tokens", arguments.text_tokens);
  app.add_option("--users", arguments.users);
  app.add_option("--only", arguments.only);
  CLI11_PARSE(app, argc, argv);
  at::set_num_threads(static_cast<int>(arguments.threads));

  const auto comm = mpi.world();
  const Corpus corpus = Corpus::open(arguments.corpus);
  if (arguments.users.empty()) arguments.users = {corpus.vocabulary().num_users};
  std::vector<std::unique_ptr<Subject>> subjects;
  for (const int64_t users : arguments.users) subjects.push_back(std::make_unique<Subject>(arguments, corpus, users, *comm));
  for (const auto& [name, kind] : {std::pair{"l_step", StepKind::kCollaborative},
                                   {"c_step", StepKind::kContent},
                                   {"finetune_step", StepKind::kRecommendation}}) {
    if (arguments.only.empty() || arguments.only == name) time_steps(arguments, name, kind, subjects, *comm);
  }
  return 0;
}
