#include "model/recommenders/sasrec/sasrec.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <set>
#include <vector>

#include "model/errors.h"
#include "tests/model/recommenders/training.h"

namespace cllm {
namespace {

namespace sasrec {

SasrecOptions small(SasrecLoss loss, SasrecBlocks blocks = SasrecBlocks::kAuthors) {
  SasrecOptions options;
  options.encoder = blocks;
  options.loss = loss;
  options.width = 8;
  options.heads = 2;
  options.max_length = 6;
  options.dropout = 0.2;
  options.negatives = 4;
  options.epochs = 2;
  options.batch_users = 16;
  options.learning_rate = 1e-2;
  return options;
}

constexpr SasrecLoss kLosses[] = {SasrecLoss::kBce, SasrecLoss::kSampled, SasrecLoss::kFull, SasrecLoss::kGbce};

TEST(Sasrec, TrainingAndListsDoNotDependOnTheWorldSize) {
  for (const SasrecLoss loss : kLosses) {
    const auto blocks = loss == SasrecLoss::kSampled ? SasrecBlocks::kStandard : SasrecBlocks::kAuthors;
    const SasrecOptions options = small(loss, blocks);
    const testing::Trained one = testing::train_and_rank(sasrec_model(), options, 1);
    for (const int R : {2, 4}) testing::expect_same_training(testing::train_and_rank(sasrec_model(), options, R), one);
  }
}

TEST(Sasrec, NegativesOfAnUpdateAreTheSameForAllItsPositionsAndRanksAndNoOthers) {
  SasrecOptions options = small(SasrecLoss::kSampled);
  options.negatives_of = SasrecNegatives::kOfUpdate;
  testing::training_corpus();
  std::map<int64_t, std::vector<std::vector<int32_t>>> of_step;  // every rank's
  std::mutex mutex;
  testing::run_ranks(2, [&](Communicator& comm) {
    const Channels channels(comm);
    const auto model = testing::open_in_fp64(sasrec_model(), options, channels);
    for (int64_t step = 0; step < model->program().num_steps(); ++step) {
      const auto input = model->input(model->program().at(step));
      const auto& sample = dynamic_cast<const SasrecInput&>(*input);
      ASSERT_EQ(sample.rows.size(), static_cast<size_t>(2 * sample.num_tokens + options.negatives));
      EXPECT_EQ(sample.sharing, std::vector<int64_t>{sample.num_tokens});
      const std::lock_guard lock(mutex);
      of_step[step].emplace_back(sample.rows.end() - options.negatives, sample.rows.end());
    }
  });
  std::set<std::vector<int32_t>> distinct;
  for (const auto& [step, of_ranks] : of_step) {
    ASSERT_EQ(of_ranks.size(), 2U);
    EXPECT_EQ(of_ranks[0], of_ranks[1]);
    distinct.insert(of_ranks[0]);
  }
  EXPECT_EQ(distinct.size(), of_step.size());
}

TEST(Sasrec, TrainingWithNegativesOfAnUpdateDoesNotDependOnTheWorldSize) {
  for (const SasrecLoss loss : {SasrecLoss::kSampled, SasrecLoss::kGbce}) {
    SasrecOptions options = small(loss);
    options.negatives_of = SasrecNegatives::kOfUpdate;
    const testing::Trained one = testing::train_and_rank(sasrec_model(), options, 1);
    testing::expect_same_training(testing::train_and_rank(sasrec_model(), options, 3), one);
  }
}

TEST(Sasrec, StopAndGoOnGivesTheSameBits) {
  for (const SasrecLoss loss : kLosses) testing::expect_resume_is_bitwise(sasrec_model(), small(loss), 2, 3);
}

TEST(Sasrec, LearnsTheNextItemOfASmallCorpus) {
  for (const SasrecBlocks blocks : {SasrecBlocks::kAuthors, SasrecBlocks::kStandard}) {
    SasrecOptions options = small(SasrecLoss::kFull, blocks);
    options.dropout = 0;
    options.epochs = 60;
    const testing::Trained trained = testing::train_and_rank(sasrec_model(), options, 1);
    EXPECT_GT(trained.losses.front(), 2.5);
    EXPECT_LT(trained.losses.back(), 0.8);
  }
}

TEST(Sasrec, SamplesAreTheEndsOfHistoriesAndTheirWeightsAddToOne) {
  testing::training_corpus();
  testing::run_ranks(1, [&](Communicator& comm) {
    const Channels channels(comm);
    const auto model = testing::open_in_fp64(sasrec_model(), small(SasrecLoss::kBce), channels);
    std::multiset<int64_t> lengths, wanted;
    const int64_t steps = model->program().num_steps() / 2;  // of one epoch
    for (int64_t step = 0; step < steps; ++step) {
      const auto input = model->input(model->program().at(step));
      const auto& sample = dynamic_cast<const SasrecInput&>(*input);
      const int64_t T = sample.num_tokens;
      EXPECT_NEAR(sample.weight * static_cast<double>(T), 1, 1e-12);
      for (const int64_t length : sample.lengths) lengths.insert(length);
      ASSERT_EQ(sample.rows.size(), static_cast<size_t>(3 * T));
      int64_t first = 0;
      for (const int64_t length : sample.lengths) {  // what is shown at one place is the target of the one before
        for (int64_t i = first; i + 1 < first + length; ++i) EXPECT_EQ(sample.rows[T + i], sample.rows[i + 1]);
        first += length;
      }
    }
    for (int64_t user = 0; user < testing::kSmallUsers; ++user) {
      const int64_t items = testing::training_corpus().num_items(user, Part::kTrain);
      if (items >= 2) wanted.insert(std::min<int64_t>(6, items - 1));
    }
    EXPECT_EQ(lengths, wanted);
  });
}

TEST(Sasrec, NegativesOfBceAreNoTrainingItemsOfTheUser) {
  testing::training_corpus();
  testing::run_ranks(1, [&](Communicator& comm) {
    const Channels channels(comm);
    SasrecOptions options = small(SasrecLoss::kBce);
    options.max_length = 20;  // whole histories are seen
    const auto model = testing::open_in_fp64(sasrec_model(), options, channels);
    const auto input = model->input(model->program().at(0));
    const auto& sample = dynamic_cast<const SasrecInput&>(*input);
    const int64_t T = sample.num_tokens;
    int64_t first = 0;
    for (const int64_t length : sample.lengths) {
      std::set<int32_t> items(sample.rows.begin() + first, sample.rows.begin() + first + length);
      items.insert(sample.rows[T + first + length - 1]);
      for (int64_t i = first; i < first + length; ++i) EXPECT_FALSE(items.contains(sample.rows[2 * T + i]));
      first += length;
    }
    EXPECT_GT(first, 0);
  });
}

TEST(Sasrec, ListsFollowTheOrderAndTheEndOfTheHistory) {
  testing::training_corpus();
  testing::run_ranks(2, [&](Communicator& comm) {
    const Channels channels(comm);
    const auto model = testing::open_in_fp64(sasrec_model(), small(SasrecLoss::kBce), channels);
    std::vector<RankingQuery> queries{
        {.history = {1, 2, 3, 4, 5, 6}}, {.history = {6, 5, 4, 3, 2, 1}}, {.history = {9, 8, 1, 2, 3, 4, 5, 6}}, {}};
    if (comm.rank() == 1) queries.clear();
    const auto lists = model->top_items(queries, 5);
    ASSERT_EQ(lists.size(), queries.size());
    if (comm.rank() == 1) return;
    EXPECT_NE(lists[0], lists[1]);
    EXPECT_EQ(lists[0], lists[2]);  // six items are seen
    EXPECT_EQ(lists[3].front().item, 0);
    EXPECT_EQ(lists[3].front().score, 0);
  });
}

TEST(Sasrec, HeadsMustDivideTheWidth) {
  SasrecOptions options;
  EXPECT_EQ(options.problem(), "");
  options.heads = 3;
  EXPECT_NE(options.problem().find("sasrec.width = 50"), std::string::npos);
}

}  // namespace sasrec
}  // namespace
}  // namespace cllm
