#include "model/recommenders/cllm4rec/history/history_items.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <set>
#include <vector>

#include "tests/model/recommenders/cllm4rec/sampler_fixture.h"

namespace cllm {
namespace {

using namespace sampler_tests;

TEST(HistoryItems, OfLongHistoriesTheNewestItemsAreKeptWhereThatIsChosen) {
  SamplerOptions options = small_batches();
  options.max_items = 4;
  EXPECT_NE(sampler(options).describe_long_histories().find("a random choice of them is used"), std::string::npos);
  options.keep = HistoryKeep::kNewest;
  const Sampler newest = sampler(options);
  EXPECT_NE(newest.describe_long_histories().find("than the 4 items that fit after the prompt: the newest are used"),
            std::string::npos);
  const auto newest_of = [](int64_t user, const Tokens& hidden) {
    Tokens items;
    const auto history = corpus().history(user, Part::kTrain);
    for (auto at = history.rbegin(); at != history.rend() && items.size() < 4; ++at)
      if (std::find(hidden.begin(), hidden.end(), *at) == hidden.end()) items.push_back(*at);
    return sorted(items);
  };
  for (const Sequence& sequence : epoch_of(newest, StepKind::kCollaborative))
    EXPECT_EQ(sorted(items_of(sequence.main)), newest_of(user_of(sequence), {}));
  for (const Sequence& sequence : epoch_of(newest, StepKind::kRecommendation))
    EXPECT_EQ(sorted(items_of(sequence.prompt)), newest_of(user_of(sequence), sequence.targets));
  RankingQuery query{.user = 3, .history = {9, 4, 7, 1, 8, 2}};
  const RecBatch batch = newest.ranking_prompts(std::span<const RankingQuery>(&query, 1));
  EXPECT_EQ(sorted(items_of(batch.token_ids)), (Tokens{1, 2, 7, 8}));
}

TEST(HistoryItems, HistoriesInTheOrderOfTimeEndWithTheirNewestItems) {
  SamplerOptions options = small_batches();
  options.loss.item_order = ItemOrder::kTime;
  options.max_items = 4;
  const Sampler in_time = sampler(options);
  const auto newest_of = [](int64_t user, const Tokens& hidden) {
    Tokens items;
    for (const int32_t item : corpus().history(user, Part::kTrain))
      if (std::find(hidden.begin(), hidden.end(), item) == hidden.end()) items.push_back(item);
    return items.size() <= 4 ? items : Tokens(items.end() - 4, items.end());
  };
  bool other_than_by_id = false;
  for (const Sequence& sequence : epoch_of(in_time, StepKind::kCollaborative)) {
    const Tokens expected = newest_of(user_of(sequence), {});
    EXPECT_EQ(items_of(sequence.main), expected);
    other_than_by_id = other_than_by_id || expected != sorted(expected);
  }
  EXPECT_TRUE(other_than_by_id);
  for (const Sequence& sequence : epoch_of(in_time, StepKind::kRecommendation))
    EXPECT_EQ(items_of(sequence.prompt), newest_of(user_of(sequence), sequence.targets));
  RankingQuery query{.user = 3, .history = {9, 4, 7, 1, 8, 2}};
  EXPECT_EQ(items_of(in_time.ranking_prompts(std::span<const RankingQuery>(&query, 1)).token_ids),
            (Tokens{7, 1, 8, 2}));
  const std::vector<int64_t> users = {5};
  EXPECT_EQ(items_of(in_time.ranking_prompts(users).token_ids), newest_of(5, {}));
}

TEST(HistoryItems, DropoutLeavesOutItsShareOfTheItemsOfAnLStepInTheirOrder) {
  SamplerOptions options = small_batches();
  options.objective.target = LossTarget::kSet;
  options.loss.item_order = ItemOrder::kTime;
  options.dropout.items = 0.3;
  const Sampler thin = sampler(options);
  size_t left = 0, all = 0;
  std::set<Tokens> of_one;
  for (int64_t epoch = 0; epoch < 20; ++epoch) {
    for (const Sequence& sequence : epoch_of(thin, StepKind::kCollaborative, epoch)) {
      const Tokens items = items_of(sequence.main);
      Tokens in_time = items, both = items;
      put_in_order_of(corpus().history(sequence.user, Part::kTrain), in_time);
      EXPECT_EQ(items, in_time);
      both.insert(both.end(), sequence.targets.begin(), sequence.targets.end());
      EXPECT_EQ(sorted(both), train_items(sequence.user));  // what is left out is a target
      left += items.size(), all += both.size();
      EXPECT_FALSE(items.empty());
      if (sequence.user == 5) of_one.insert(items);
    }
    // Weights are those of the positions that there are, whoever computes them.
    double weight = 0;
    for (const int rank : {0, 1, 2}) {
      const RecBatch batch = thin.batch({.kind = StepKind::kCollaborative, .epoch = epoch}, rank, 3);
      weight += std::accumulate(batch.histories.rest_weight.begin(), batch.histories.rest_weight.end(), 0.0);
    }
    EXPECT_NEAR(weight, 1, 1e-12);
  }
  EXPECT_NEAR(static_cast<double>(left) / static_cast<double>(all), 0.7, 0.02);
  EXPECT_GT(of_one.size(), 5u);
  // Finetuning and lists see all of a history that they did.
  EXPECT_EQ(epoch_of(thin, StepKind::kRecommendation).size(),
            epoch_of(sampler(small_batches()), StepKind::kRecommendation).size());
  const std::vector<int64_t> users = {5};
  EXPECT_EQ(sorted(items_of(thin.ranking_prompts(users).token_ids)), train_items(5));
}

TEST(HistoryItems, ADroppedHistoryTrainsItsFirstPositionAlone) {
  SamplerOptions options = small_batches();
  options.objective.target = LossTarget::kSet;
  options.dropout.history = 0.4;
  const Sampler some = sampler(options);
  int64_t alone = 0, users = 0;
  for (int64_t epoch = 0; epoch < 20; ++epoch) {
    for (const Sequence& sequence : epoch_of(some, StepKind::kCollaborative, epoch)) {
      const size_t n = train_items(sequence.user).size();
      if (n == 1) continue;
      EXPECT_TRUE(sequence.main.size() == 1 || sequence.main.size() == n);
      EXPECT_EQ(sequence.main.size() + sequence.targets.size(), n);
      alone += sequence.main.size() == 1, ++users;
    }
  }
  EXPECT_NEAR(static_cast<double>(alone) / static_cast<double>(users), 0.4, 0.05);
}

}  // namespace
}  // namespace cllm
