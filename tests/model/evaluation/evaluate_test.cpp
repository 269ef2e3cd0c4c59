#include "model/evaluation/evaluate.h"

#include <gmock/gmock.h>

#include <mutex>

#include "model/errors.h"
#include "tests/model/evaluation/known_corpus.h"
#include "tests/support/thread_world.h"

namespace cllm {
namespace {

using testing::HashScorer;
using testing::KnownCorpus;

const Corpus& known_corpus() {
  static const KnownCorpus known;
  return known.corpus();
}

/// A user's list without TopK: all items that are not masked, sorted.
std::vector<int32_t> sorted_list(const RankingQuery& query, size_t k) {
  std::vector<int32_t> items;
  for (int32_t item = 0; item < KnownCorpus::kItems; ++item) {
    if (!std::ranges::binary_search(query.masked, item)) items.push_back(item);
  }
  std::ranges::sort(items, std::greater<>{}, [&](int32_t item) { return HashScorer::score(query, item); });
  items.resize(std::min(items.size(), k));
  return items;
}

EvaluationResult evaluated(const EvaluationOptions& options, int world_size = 1) {
  EvaluationResult out;
  std::mutex mutex;
  testing::run_ranks(world_size, [&](Communicator& comm) {
    HashScorer scorer;
    const EvaluationResult result = evaluate(scorer, known_corpus(), comm, options);
    const std::scoped_lock lock(mutex);
    if (comm.rank() == 0) out = result;
  });
  return out;
}

/// Sums of every rank in the order of its users, joined in rank order: what makes values of older runs stay the same to
/// the last bit.
double recall_in_rank_order(int world_size, int64_t k) {
  double total = 0;
  int64_t num_users = 0;
  for (int rank = 0; rank < world_size; ++rank) {
    double sum = 0;
    for (int64_t user = rank; user < KnownCorpus::kUsers; user += world_size) {
      const auto held_out = known_corpus().items(user, Part::kTest);
      if (held_out.empty()) continue;
      const RankingQuery query = make_query(known_corpus(), user, HistoryMode::kTrain, Mask::kHistory);
      double hits = 0;
      for (const int32_t item : sorted_list(query, static_cast<size_t>(k)))
        hits += std::ranges::find(held_out, item) != held_out.end() ? 1 : 0;
      sum += hits / static_cast<double>(std::min<size_t>(static_cast<size_t>(k), held_out.size()));
      ++num_users;
    }
    total = rank == 0 ? sum : total + sum;
  }
  return total / static_cast<double>(num_users);
}

TEST(Evaluate, RecallIsTheMeanOfTheListsSummedInUserAndRankOrder) {
  for (const int world_size : {1, 2, 3, 4}) {
    const auto result = evaluated({.metrics = MetricList({5, 20}, {}), .batch_users = 7}, world_size);
    EXPECT_TRUE(result.complete);
    EXPECT_EQ(result.values.at("recall@5"), recall_in_rank_order(world_size, 5)) << world_size;
    EXPECT_EQ(result.values.at("recall@20"), recall_in_rank_order(world_size, 20)) << world_size;
  }
}

TEST(Evaluate, CountsTheUsersThatAreRankedAndThoseLeftOut) {
  const auto test = evaluated({.metrics = MetricList({5}, {})});
  EXPECT_EQ(test.num_users, 45);  // a quarter has no test item
  EXPECT_EQ(test.left_out, 15);
  const auto validation = evaluated({.part = Part::kValidation, .metrics = MetricList({5}, {})});
  EXPECT_EQ(validation.num_users, 40);
  EXPECT_EQ(validation.left_out, 20);
}

TEST(Evaluate, TheScorerIsFedAndMaskedAsTheOptionsSay) {
  testing::run_ranks(1, [](Communicator& comm) {
    const auto asked = [&](const EvaluationOptions& options) {
      HashScorer scorer;
      evaluate(scorer, known_corpus(), comm, options);
      return scorer.asked;
    };
    for (const RankingQuery& query : asked({})) {
      EXPECT_EQ(static_cast<int64_t>(query.history.size()), known_corpus().num_items(query.user, Part::kTrain));
      EXPECT_EQ(query.masked.size(), query.history.size());
    }
    for (const RankingQuery& query : asked({.history = HistoryMode::kTrainAndValidation, .mask = Mask::kNone})) {
      EXPECT_EQ(
          static_cast<int64_t>(query.history.size()),
          known_corpus().num_items(query.user, Part::kTrain) + known_corpus().num_items(query.user, Part::kValidation));
      EXPECT_TRUE(query.masked.empty());
    }
    for (const RankingQuery& query : asked({.part = Part::kValidation, .mask = Mask::kKnown})) {
      for (const int32_t item : known_corpus().items(query.user, Part::kValidation))
        EXPECT_FALSE(std::ranges::binary_search(query.masked, item));  // it is to be found
    }
  });
}

TEST(Evaluate, AHistoryThatHoldsWhatIsToBeFoundIsRefused) {
  try {
    evaluated({.part = Part::kValidation, .history = HistoryMode::kTrainAndValidation});
    ADD_FAILURE() << "was evaluated";
  } catch (const OptionError& error) {
    EXPECT_THAT(error.what(), ::testing::HasSubstr("would feed the items that are to be found"));
  }
}

TEST(Evaluate, LeftEarlyItHasNoValues) {
  int blocks = 0;
  const auto result = evaluated({.batch_users = 8, .leave = [&] { return ++blocks == 3; }, .bootstrap = 5});
  EXPECT_FALSE(result.complete);
  EXPECT_TRUE(result.values.empty());
  EXPECT_TRUE(result.intervals.empty());
}

TEST(Evaluate, ThePerUserValuesAreThoseOfTheMean) {
  testing::run_ranks(1, [](Communicator& comm) {
    HashScorer scorer;
    std::map<int64_t, double> mrr;
    const std::vector<std::string> names = {"coverage@5", "mrr@5"};
    const EvaluationOptions options{.metrics = MetricList::parse(names, "test")};
    const auto result =
        evaluate(scorer, known_corpus(), comm, options, [&](int64_t user, const std::vector<double>& values) {
          ASSERT_EQ(values.size(), 1u);  // coverage has none of a user
          mrr[user] = values[0];
        });
    double sum = 0;
    for (const auto& [user, value] : mrr) sum += value;
    EXPECT_EQ(mrr.size(), 45u);
    EXPECT_GT(sum, 0);
    EXPECT_DOUBLE_EQ(result.values.at("mrr@5"), sum / 45);
    EXPECT_GT(result.values.at("coverage@5"), 0.5);
  });
}

TEST(Evaluate, IntervalsHoldTheMeansAndGroupsPartitionTheUsers) {
  const std::vector<std::string> names = {"recall@10", "ndcg@10", "novelty@10", "coverage@10"};
  const auto result = evaluated({.metrics = MetricList::parse(names, "test"), .bootstrap = 200, .groups = true});
  EXPECT_EQ(result.intervals.size(), 3u);  // coverage is no mean over users
  for (const auto& [name, interval] : result.intervals) {
    EXPECT_LT(interval.low, result.values.at(name));
    EXPECT_GT(interval.high, result.values.at(name));
  }
  int64_t users = 0;
  double recall = 0;
  for (const MetricGroup& group : result.groups) {
    if (group.by != "history") continue;
    users += group.num_users;
    recall += group.values.at("recall@10") * static_cast<double>(group.num_users);
  }
  EXPECT_EQ(users, 45);
  EXPECT_NEAR(recall / 45, result.values.at("recall@10"), 1e-12);
  EXPECT_EQ(result.groups.back().by, "items");
}

TEST(Evaluate, TheProtocolSaysWhatMustBeEqualBeforeTablesAreCompared) {
  const std::vector<std::string> names = {"recall@10", "recall@20", "hit@10"};
  const auto line = evaluated({.metrics = MetricList::parse(names, "test"),
                               .history = HistoryMode::kTrainAndValidation,
                               .mask = Mask::kKnown})
                        .protocol;
  EXPECT_EQ(line, "split file, seed 5, corpus " + known_corpus().fingerprint() +
                      "; part test, fed train+validation, masked train and validation; all 80 items ranked; "
                      "recall: hits / min(K, held-out); hit: 1 if any hit; 45 users ranked, 15 left out (nothing to "
                      "find)");
}

}  // namespace
}  // namespace cllm
