#include "launch/run/measure_baselines.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "model/recommenders/closed_form/available_memory.h"
#include "tests/model/evaluation/known_corpus.h"
#include "tests/support/thread_world.h"

namespace cllm::measure_baselines_tests {
namespace {

using testing::KnownCorpus, testing::run_ranks;
using Scores = std::vector<double>;

/// Rows [J] of the 0/1 matrix of training interactions.
std::vector<Scores> training_rows(const Corpus& corpus) {
  std::vector<Scores> rows(KnownCorpus::kUsers, Scores(KnownCorpus::kItems));
  for (size_t user = 0; user < rows.size(); ++user) {
    for (const int32_t item : corpus.items(static_cast<int64_t>(user), Part::kTrain))
      rows[user][static_cast<size_t>(item)] = 1;
  }
  return rows;
}

/// x S with the dense S_jk = G_jk / sqrt(G_jj G_kk), G = X^T X.
Scores dense_cosine(const std::vector<Scores>& rows, std::span<const int32_t> history) {
  const auto gram = [&](size_t j, size_t k) {
    double sum = 0;
    for (const Scores& row : rows) sum += row[j] * row[k];
    return sum;
  };
  Scores out(KnownCorpus::kItems);
  for (size_t k = 0; k < out.size(); ++k) {
    for (const int32_t seen : history) {
      const auto j = static_cast<size_t>(seen);
      if (gram(j, k) > 0) out[k] += gram(j, k) / std::sqrt(gram(j, j) * gram(k, k));
    }
  }
  return out;
}

/// Recall@10 of the test items by scores of one user, without what is fed.
template <typename Score>
double recall_by(const Corpus& corpus, HistoryMode history, Score score) {
  double sum = 0, users = 0;
  for (int64_t user = 0; user < KnownCorpus::kUsers; ++user) {
    const auto held_out = corpus.items(user, Part::kTest);
    if (held_out.empty()) continue;
    const RankingQuery query = make_query(corpus, user, history, Mask::kHistory);
    const Scores scores = score(query.history);
    TopK best(10);
    best.add<double>(scores, query.masked);
    double hits = 0;
    for (const ScoredItem& item : best.take()) hits += std::ranges::binary_search(held_out, item.item) ? 1 : 0;
    sum += hits / static_cast<double>(held_out.size());
    ++users;
  }
  return sum / users;
}

/// A corpus as a run has it, without a model.
Workspace workspace_of(const Corpus& corpus, Communicator& comm) {
  return {default_config("popularity"), at::kCPU, Channels(comm), {}, corpus, nullptr, nullptr, nullptr};
}

Baselines measured(const Corpus& corpus, const std::vector<std::string>& models, const EvaluationOptions& options,
                   int ranks = 1) {
  Baselines out;
  run_ranks(ranks, [&](Communicator& comm) {
    const auto found = measure_baselines(workspace_of(corpus, comm), models, options);
    if (comm.rank() == 0) out = found.value();
  });
  return out;
}

TEST(MeasureBaselines, AreThoseOfDenseScoresInBothHistoryModesOnAnyNumberOfRanks) {
  const KnownCorpus known;
  const Corpus& corpus = known.corpus();
  const auto rows = training_rows(corpus);
  Scores counts(KnownCorpus::kItems);
  for (const Scores& row : rows) {
    for (size_t item = 0; item < row.size(); ++item) counts[item] += row[item];
  }
  for (const HistoryMode history : {HistoryMode::kTrain, HistoryMode::kTrainAndValidation}) {
    for (const int ranks : {1, 3}) {
      const auto found =
          measured(corpus, kUsualBaselines,
                   {.metrics = MetricList({10}, {}), .history = history, .bootstrap = 5, .groups = true}, ranks);
      EXPECT_EQ(found.size(), 2u);
      EXPECT_NEAR(found.at("popularity").values.at("recall@10"),
                  recall_by(corpus, history, [&](const auto&) { return counts; }), 1e-12);
      EXPECT_NEAR(found.at("item_cosine").values.at("recall@10"),
                  recall_by(corpus, history, [&](const auto& fed) { return dense_cosine(rows, fed); }), 1e-12);
    }
  }
}

TEST(MeasureBaselines, AnyClosedFormIsOneAndHasAllMetricsOfTheTable) {
  const KnownCorpus known;
  const std::vector<std::string> names = {"coverage@10", "novelty@10", "mrr@10"};
  EXPECT_EQ(possible_baselines(), (std::vector<std::string>{"popularity", "item_cosine", "ease", "ease_text"}));
  const auto found = measured(known.corpus(), possible_baselines(), {.metrics = MetricList::parse(names, "test")});
  for (const auto& [model, baseline] : found) {
    EXPECT_EQ(baseline.values.size(), 3u) << model;
    EXPECT_EQ(baseline.not_run, "") << model;
  }
  EXPECT_LT(found.at("popularity").values.at("novelty@10"), found.at("ease").values.at("novelty@10"));
  EXPECT_GT(found.at("item_cosine").values.at("coverage@10"), found.at("popularity").values.at("coverage@10"));
}

/// One user, and so many items that no matrix of them fits into what this machine has.
class ManyItems {
 public:
  ManyItems()
      : num_items_(1000 + static_cast<int64_t>(std::sqrt(static_cast<double>(available_memory()) / 16))),
        corpus_(make()) {}
  const Corpus& corpus() const { return corpus_; }

 private:
  Corpus make() {
    std::string items;
    for (int64_t j = 0; j < num_items_; ++j) items += "i" + std::to_string(j) + (j < 9 ? "\ta thing\n" : "\t\n");
    folder_.write("items.tsv", items);
    folder_.write("users.tsv", "u\tsomebody\n");
    folder_.write("interactions.tsv", "user\titem\ttime\nu\ti1\t1\nu\ti2\t2\n");
    PrepareOptions options;
    options.input = folder_.path();
    options.output = folder_.path() / "corpus";
    options.split = SplitMethod::kFile;
    options.split_file = folder_.write("split.tsv", "user\titem\tpart\nu\ti1\ttrain\nu\ti2\ttest\n");
    options.train_tokenizer = 257;
    options.threads = 1;
    prepare(options);
    return Corpus::open(options.output);
  }

  testing::TemporaryFolder folder_;
  int64_t num_items_;
  Corpus corpus_;
};

TEST(MeasureBaselines, OneThatDoesNotFitMemoryIsNotRunAndSaysWhyAndTheOthersAreMeasured) {
  const ManyItems many;
  const auto found = measured(many.corpus(), {"ease", "popularity"}, {.metrics = MetricList({10}, {})}, 2);
  EXPECT_TRUE(found.at("ease").values.empty());
  const std::string& why = found.at("ease").not_run;
  EXPECT_EQ(why.find("ease: " + std::to_string(many.corpus().vocabulary().num_items) + " items need "), 0u) << why;
  EXPECT_EQ(found.at("popularity").values.size(), 1u);
}

TEST(MeasureBaselines, AreLeftTogetherWhenTheRunMustStop) {
  const KnownCorpus known;
  run_ranks(2, [&](Communicator& comm) {
    EvaluationOptions options{.metrics = MetricList({10}, {}), .leave = [] { return true; }};
    EXPECT_FALSE(measure_baselines(workspace_of(known.corpus(), comm), kUsualBaselines, options).has_value());
  });
}

}  // namespace
}  // namespace cllm::measure_baselines_tests
