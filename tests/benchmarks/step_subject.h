#pragma once

// What the benchmarks of steps share: batches like those of ../shared/reference/speed_baseline.py, and a model of any
// size to train on them.

#include <CLI/CLI.hpp>
#include <algorithm>

#include "data/corpus/corpus.h"
#include "data/random.h"
#include "data/sampling/assign.h"
#include "dist/communicator/communicator.h"
#include "model/backbones/gpt2/gpt2.h"
#include "model/recommenders/cllm4rec/collate.h"
#include "model/recommenders/cllm4rec/train_step.h"

namespace cllm::bench {

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
        histories_.emplace_back(user * spread,
                                items.first(std::min(items.size(), static_cast<size_t>(arguments.max_items))));
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
      out.prompt.push_back(
          vocabulary_.item_token(static_cast<int64_t>(rng.below(static_cast<uint64_t>(vocabulary_.num_items)))));
      words(out.prompt, 1);
      words(out.main, std::max<int64_t>(2, arguments_.text_tokens +
                                               static_cast<int64_t>(rng.normal() * std::sqrt(arguments_.text_tokens))));
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

  RecBatch batch(StepKind kind, int64_t step, int rank, int world_size) {
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

inline RecModel make_model(const Arguments& arguments, const Vocabulary& vocabulary, const Communicator& comm) {
  RecModel model;
  model.backbone =
      make_gpt2(arguments.sizes, 1, {at::kFloat, arguments.precision == "bf16" ? at::kBFloat16 : at::kFloat});
  const RowLayout layout(vocabulary.num_users, vocabulary.num_items, comm.rank(), comm.world_size());
  model.collaborative = make_random_table(layout, arguments.sizes.width, at::kFloat, 1, Side::kCollaborative);
  model.content = make_random_table(layout, arguments.sizes.width, at::kFloat, 1, Side::kContent);
  return model;
}

inline double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

/// One size of tables, with what steps on it.
struct Subject {
  Subject(const Arguments& arguments, const Corpus& corpus, int64_t num_users, Communicator& comm)
      : vocabulary{arguments.sizes.num_words, num_users, corpus.vocabulary().num_items},
        sequences(arguments, corpus, vocabulary), model(make_model(arguments, vocabulary, comm)),
        optimizer(make_row_optimizer({})), step(comm, model, *optimizer) {
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

inline void add_options(CLI::App& app, Arguments& arguments) {
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
}

/// As the baseline, which leaves the library's model in training mode.
inline StepConfig step_config() {
  StepConfig config;
  config.dropout = {0.1, 0.1, 0.1};
  return config;
}

}  // namespace cllm::bench
