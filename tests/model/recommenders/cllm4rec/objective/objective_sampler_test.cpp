// Draws of users and what an objective beyond the next item asks of the sampler.
#include "model/recommenders/cllm4rec/sampler.h"

#include <gmock/gmock.h>

#include <numeric>
#include <set>

#include "tests/model/recommenders/cllm4rec/sampler_fixture.h"

namespace cllm {
namespace {

using namespace sampler_tests;

/// Lengths of the histories that a step computes.
std::vector<int64_t> lengths_of(const Sampler& sampler, const StepId& id) {
  std::vector<int64_t> out;
  for (const PlannedSample& planned : sampler.plan(id))
    out.push_back(std::ssize(items_of(sampler.sequence(id, planned).main)));
  return out;
}

/// Users of equal length together would make the lengths of a step vary less than those of all users.
TEST(Sampler, LengthsInAStepAreThoseOfARandomDrawOfUsers) {
  const Sampler any = sampler();
  double within = 0, all = 0, sum = 0, squares = 0;
  int64_t steps = 0, users = 0;
  std::set<std::vector<int64_t>> different;
  for (StepId id{.kind = StepKind::kCollaborative}; id.epoch < 200; ++id.epoch) {
    id.step = id.epoch % (any.num_steps(StepKind::kCollaborative) - 1);  // whole steps, of 12 users
    const std::vector<int64_t> lengths = lengths_of(any, id);
    double mean = 0, variance = 0;
    for (const int64_t length : lengths) {
      const auto value = static_cast<double>(length);
      mean += value / static_cast<double>(lengths.size());
      sum += value, squares += value * value, ++users;
    }
    for (const int64_t length : lengths) {
      const double off = static_cast<double>(length) - mean;
      variance += off * off / static_cast<double>(lengths.size() - 1);
    }
    within += variance, ++steps;
    different.insert(lengths);
  }
  const auto n = static_cast<double>(users);
  all = squares / n - (sum / n) * (sum / n);
  EXPECT_NEAR(within / static_cast<double>(steps) / all, 1, 0.1);  // sorted by length: below 0.2
  EXPECT_GT(different.size(), 190u);
}

TEST(Sampler, ASetTargetIsWhatAPositionHasNotShownWithItemsBeyondTheCapToo) {
  SamplerOptions options = small_batches();
  options.objective.target = LossTarget::kSet;
  options.max_items = 4;
  const Sampler any = sampler(options);
  for (const Sequence& sequence : epoch_of(any, StepKind::kCollaborative)) {
    Tokens all = items_of(sequence.main);
    EXPECT_LE(all.size(), 4u);
    all.insert(all.end(), sequence.targets.begin(), sequence.targets.end());
    EXPECT_EQ(sorted(all), train_items(sequence.user));
  }
  const RecBatch batch = any.batch({.kind = StepKind::kCollaborative}, 0, 1);
  const HistoryLists& lists = batch.histories;
  EXPECT_TRUE(batch.targets.empty());
  ASSERT_EQ(lists.sequence.size(), batch.active_rows.size());
  double weight = 0;
  for (size_t a = 0; a < lists.sequence.size(); ++a) {
    const auto s = static_cast<size_t>(lists.sequence[a]);
    EXPECT_EQ(batch.active_rows[a],
              batch.sequence_offsets[s] + lists.shown[a] + prompts().collaborative.fixed_length() - 1);
    weight += lists.rest_weight[a];
  }
  EXPECT_NEAR(weight, 1, 1e-12);  // the mean over the groups
}

TEST(Sampler, SomePositionsOfAHistoryAreADrawOfEveryEpoch) {
  SamplerOptions options = small_batches();
  options.objective.positions = 2;
  const Sampler any = sampler(options);
  std::set<std::vector<int32_t>> drawn;
  for (int64_t epoch = 0; epoch < 5; ++epoch) {
    for (const Sequence& sequence : epoch_of(any, StepKind::kCollaborative, epoch)) {
      if (sequence.main.size() <= 2) {
        EXPECT_TRUE(sequence.positions.empty());
        continue;
      }
      EXPECT_EQ(sequence.positions.size(), 2u);
      EXPECT_TRUE(std::ranges::is_sorted(sequence.positions));
      drawn.insert(sequence.positions);
    }
    const RecBatch batch = any.batch({.kind = StepKind::kCollaborative, .epoch = epoch}, 0, 1);
    EXPECT_NEAR(std::accumulate(batch.target_weights.begin(), batch.target_weights.end(), 0.0), 1, 1e-12);
  }
  EXPECT_GT(drawn.size(), 20u);
}

TEST(Sampler, AUsersTokenIsLeftOutOfTrainingWithItsProbability) {
  SamplerOptions options = small_batches();
  options.user_token_dropout = 0.3;
  const Sampler any = sampler(options);
  for (const StepKind kind : {StepKind::kCollaborative, StepKind::kRecommendation}) {
    int64_t without = 0, all = 0;
    for (int64_t epoch = 0; epoch < 20; ++epoch) {
      for (const Sequence& sequence : epoch_of(any, kind, epoch)) {
        without += corpus().vocabulary().is_word(sequence.prompt.front());
        ++all;
      }
    }
    EXPECT_NEAR(static_cast<double>(without) / static_cast<double>(all), 0.3, 0.05);
    const RecBatch ranking = any.ranking_prompts(std::vector<int64_t>{3, 4}, kind);
    EXPECT_FALSE(corpus().vocabulary().is_word(ranking.token_ids.front()));
  }
}

}  // namespace
}  // namespace cllm
