#include "model/evaluation/queries.h"

#include <gmock/gmock.h>

#include "tests/model/evaluation/known_corpus.h"
#include "tests/support/thread_world.h"

namespace cllm {
namespace {

const Corpus& known_queries_corpus() {
  static const testing::KnownCorpus known;
  return known.corpus();
}

size_t count_masked(int64_t user, HistoryMode history, Mask mask) {
  return make_query(known_queries_corpus(), user, history, mask).masked.size();
}

TEST(Queries, FeedAndMaskWhatTheModesSay) {
  const Corpus& corpus = known_queries_corpus();
  const int64_t user = corpus.find_user("u11").value();  // 60 training, 2 validation and 3 test items
  const RankingQuery train = make_query(corpus, user, HistoryMode::kTrain, Mask::kHistory);
  EXPECT_EQ(train.user, user);
  EXPECT_EQ(train.history.size(), 60u);
  EXPECT_THAT(train.masked, ::testing::UnorderedElementsAreArray(train.history));
  EXPECT_TRUE(std::ranges::is_sorted(train.masked));
  const RankingQuery both = make_query(corpus, user, HistoryMode::kTrainAndValidation, Mask::kHistory);
  EXPECT_EQ(both.history.size(), 62u);
  EXPECT_TRUE(std::equal(train.history.begin(), train.history.end(), both.history.begin()));  // oldest first
  EXPECT_TRUE(std::ranges::is_sorted(both.masked));
  EXPECT_EQ(count_masked(user, HistoryMode::kTrain, Mask::kKnown), 62u);
  EXPECT_EQ(count_masked(user, HistoryMode::kTrain, Mask::kEverything), 65u);
  EXPECT_EQ(count_masked(user, HistoryMode::kTrainAndValidation, Mask::kNone), 0u);
}

TEST(Queries, ItemsThatAreToBeFoundAreNotMaskedAsKnown) {
  EXPECT_EQ(mask_at(Part::kValidation, Mask::kKnown), Mask::kHistory);
  EXPECT_EQ(mask_at(Part::kTest, Mask::kKnown), Mask::kKnown);
  EXPECT_EQ(mask_at(Part::kValidation, Mask::kNone), Mask::kNone);
}

TEST(Queries, CountsAreTheTrainingUsersOfEveryItem) {
  const Corpus& corpus = known_queries_corpus();
  const ItemCounts counts = count_items(corpus);
  std::vector<int64_t> expected(testing::KnownCorpus::kItems);
  for (int user = 0; user < testing::KnownCorpus::kUsers; ++user) {
    for (int n = 0; n < testing::KnownCorpus::train_of(user); ++n) {
      const std::string item = "i" + std::to_string((7 * user + n) % testing::KnownCorpus::kItems);
      ++expected[static_cast<size_t>(corpus.find_item(item).value())];
    }
  }
  EXPECT_EQ(counts.users, expected);
  EXPECT_EQ(counts.num_users, testing::KnownCorpus::kUsers);
}

TEST(Queries, BlocksHoldBatchUsersAndRanksWithoutUsersTakePart) {
  testing::run_ranks(3, [](Communicator& comm) {
    std::vector<int64_t> users, seen;  // rank 0: none, rank 1: 5, rank 2: 10
    for (int64_t n = 0; n < 5 * comm.rank(); ++n) users.push_back(n * 3 % 59);
    testing::HashScorer scorer;
    EXPECT_TRUE(rank_users(scorer, known_queries_corpus(), comm, users, {.k = 4, .batch_users = 4},
                           [&](const RankingQuery& query, const std::vector<ScoredItem>& ranked) {
                             seen.push_back(query.user);
                             EXPECT_EQ(ranked.size(), 4u);
                           }));
    EXPECT_EQ(seen, users);
    const std::vector<std::vector<size_t>> blocks = {{0, 0, 0}, {4, 1, 0}, {4, 4, 2}};
    EXPECT_EQ(scorer.blocks, blocks[static_cast<size_t>(comm.rank())]);
  });
}

TEST(Queries, ARankingThatIsLeftAsksNoFurtherBlock) {
  testing::run_ranks(2, [](Communicator& comm) {
    const std::vector<int64_t> users = {0, 1, 2, 3};
    testing::HashScorer scorer;
    int asked = 0;
    const RankingOptions options{.k = 3, .batch_users = 1, .leave = [&] { return ++asked == 3; }};
    EXPECT_FALSE(rank_users(scorer, known_queries_corpus(), comm, users, options, [](const auto&, const auto&) {}));
    EXPECT_EQ(scorer.blocks.size(), 2u);
  });
}

}  // namespace
}  // namespace cllm
