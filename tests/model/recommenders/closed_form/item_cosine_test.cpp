#include "model/recommenders/closed_form/item_cosine.h"

#include <gtest/gtest.h>

#include <ATen/TensorOperators.h>
#include <ATen/ops/mm.h>

#include <algorithm>
#include <cmath>

#include "model/recommenders/closed_form/history_scores.h"
#include "model/recommenders/closed_form/popularity.h"
#include "one_rank.h"
#include "tests/model/recommenders/fitted.h"

namespace cllm::item_cosine_tests {
namespace {

using namespace testing;

class ItemCosineTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { small_ = new SmallCorpus; }
  static void TearDownTestSuite() {
    delete small_;
    small_ = nullptr;
  }
  static const Corpus& corpus() { return small_->corpus(); }
  /// S by its formula.
  static at::Tensor similarities(double shrink) {
    const at::Tensor X = training_matrix(corpus()), G = X.t().mm(X), n = G.diagonal();
    at::Tensor S = G / ((n.unsqueeze(0) * n.unsqueeze(1)).sqrt() + shrink);
    S.masked_fill_(G == 0, 0);
    S.diagonal().zero_();
    return S;
  }

 private:
  static inline SmallCorpus* small_ = nullptr;
};

TEST_F(ItemCosineTest, RowsAreCosinesWithAShrunkDenominatorAndNoDiagonal) {
  for (const double shrink : {0.0, 10.0}) {
    ItemCosineOptions options;
    options.shrink = shrink;
    OneRank<ItemCosine> cosine(corpus(), options);
    const StepLosses losses = run_program(cosine.model).at(0);
    const at::Tensor S = similarities(shrink), X = training_matrix(corpus());
    EXPECT_LT((cosine.rows() - S).abs().max().item<double>(), 1e-7);
    EXPECT_NEAR(losses.loss, -((X.mm(S) * X).sum() / X.sum()).item<double>(), 1e-9);
  }
}

TEST_F(ItemCosineTest, EveryColumnKeepsItsLargestAndTiesGoToTheLowerRow) {
  ItemCosineOptions options;
  options.neighbours = 4;
  OneRank<ItemCosine> cosine(corpus(), options);
  run_program(cosine.model);
  const at::Tensor S = similarities(0).to(at::kFloat), rows = cosine.rows();
  for (int64_t column = 0; column < kSmallItems; ++column) {
    std::vector<ScoredItem> all;
    for (int32_t row = 0; row < kSmallItems; ++row) all.push_back({row, S[row][column].item<float>()});
    std::sort(all.begin(), all.end());
    for (size_t place = 0; place < all.size(); ++place) {
      const double expected = place < 4 ? all[place].score : 0;
      EXPECT_EQ(rows[all[place].item][column].item<float>(), static_cast<float>(expected)) << column << " " << place;
    }
  }
}

TEST_F(ItemCosineTest, RecencyWeighsTheLastItemOneAndEveryStepBackLess) {
  ItemCosineOptions options;
  options.recency = 0.5;
  OneRank<ItemCosine> cosine(corpus(), options);
  run_program(cosine.model);
  const std::vector<RankingQuery> queries = {{-1, {4, 9, 2}, {2, 4, 9}}};
  const at::Tensor rows = cosine.rows().to(at::kDouble), scores = 0.25 * rows[4] + 0.5 * rows[9] + rows[2];
  const auto lists = cosine.model.top_items(queries, 5);
  ASSERT_EQ(lists.at(0).size(), 5u);
  for (const ScoredItem& entry : lists[0]) EXPECT_NEAR(entry.score, scores[entry.item].item<double>(), 1e-12);
}

TEST_F(ItemCosineTest, ListsAreTheSameHoweverFewRowsTravelAtATime) {
  OneRank<ItemCosine> cosine(corpus(), ItemCosineOptions());
  run_program(cosine.model);
  const HostRanks ranks({.corpus = corpus(), .channels = cosine.channels, .agreed = {}});
  const auto queries = training_queries(corpus());
  const Table& table = *cosine.model.store().tables[0].table;
  const auto whole = top_items_of_histories(ranks, table, queries, 10, 1, 1000);
  EXPECT_EQ(top_items_of_histories(ranks, table, queries, 10, 1, 1), whole);
  EXPECT_EQ(top_items_of_histories(ranks, table, queries, 10, 1, 7), whole);
  EXPECT_EQ(cosine.model.top_items(queries, 10), whole);
}

TEST_F(ItemCosineTest, AHistoryOfNothingGetsTheItemsInOrderAndNoQueriesNoLists) {
  OneRank<ItemCosine> cosine(corpus(), ItemCosineOptions());
  run_program(cosine.model);
  const std::vector<RankingQuery> queries = {{-1, {}, {1}}};
  EXPECT_EQ(cosine.model.top_items(queries, 2), (std::vector<std::vector<ScoredItem>>{{{0, 0}, {2, 0}}}));
  EXPECT_TRUE(cosine.model.top_items({}, 2).empty());
}

TEST_F(ItemCosineTest, PopularityListsTheMostFrequentItemsWithoutTheMaskedAndTiesToTheLower) {
  ThreadCommunicator comm(std::make_shared<SharedWorld>(1), 0);
  const Channels channels(comm);
  Popularity popularity({.corpus = corpus(), .channels = channels, .agreed = {}});
  const double entropy = run_program(popularity).at(0).loss;
  const at::Tensor n = training_matrix(corpus()).sum(0), p = n / n.sum();
  EXPECT_NEAR(entropy, -(p * p.clamp_min(1e-300).log()).sum().item<double>(), 1e-12);
  for (const auto& query : training_queries(corpus())) {
    std::vector<ScoredItem> expected;
    for (int32_t item = 0; item < kSmallItems; ++item) {
      if (!std::ranges::binary_search(query.masked, item)) expected.push_back({item, n[item].item<double>()});
    }
    std::sort(expected.begin(), expected.end());
    expected.resize(6);
    EXPECT_EQ(popularity.top_items(std::span(&query, 1), 6).at(0), expected);
  }
}

}  // namespace
}  // namespace cllm::item_cosine_tests
