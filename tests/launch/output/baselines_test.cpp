#include "launch/output/baselines.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/model/evaluation/known_corpus.h"

namespace cllm {
namespace {

using testing::KnownCorpus;
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

TEST(Baselines, AreMeasuredFromDenseScoresInBothHistoryModes) {
  const KnownCorpus known;
  const Corpus& corpus = known.corpus();
  const auto rows = training_rows(corpus);
  Scores counts(KnownCorpus::kItems);
  for (const Scores& row : rows) {
    for (size_t item = 0; item < row.size(); ++item) counts[item] += row[item];
  }
  for (const HistoryMode history : {HistoryMode::kTrain, HistoryMode::kTrainAndValidation}) {
    const auto found = evaluate_baselines(corpus, {.metrics = MetricList({10}, {}), .history = history});
    EXPECT_NEAR(found.at("popularity").at("recall@10"), recall_by(corpus, history, [&](const auto&) { return counts; }),
                1e-12);
    EXPECT_NEAR(found.at("item_cosine").at("recall@10"),
                recall_by(corpus, history, [&](const auto& fed) { return dense_cosine(rows, fed); }), 1e-12);
  }
}

TEST(Baselines, HaveAllMetricsOfTheTable) {
  const KnownCorpus known;
  const std::vector<std::string> names = {"coverage@10", "novelty@10", "mrr@10"};
  const auto found = evaluate_baselines(known.corpus(), {.metrics = MetricList::parse(names, "test")});
  EXPECT_EQ(found.at("popularity").size(), 3u);
  EXPECT_LT(found.at("popularity").at("novelty@10"), found.at("item_cosine").at("novelty@10"));
  EXPECT_GT(found.at("item_cosine").at("coverage@10"), 0);
}

}  // namespace
}  // namespace cllm
