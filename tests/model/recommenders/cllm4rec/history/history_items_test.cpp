#include "model/recommenders/cllm4rec/history/history_items.h"

#include <gtest/gtest.h>

#include <algorithm>
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

}  // namespace
}  // namespace cllm
