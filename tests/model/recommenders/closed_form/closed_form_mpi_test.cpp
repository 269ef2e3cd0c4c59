#include <gtest/gtest.h>

#include <ATen/TensorOperators.h>

#include "model/errors.h"
#include "model/recommenders/closed_form/ease.h"
#include "model/recommenders/closed_form/ease_text.h"
#include "model/recommenders/closed_form/item_cosine.h"
#include "model/recommenders/closed_form/popularity.h"
#include "model/recommenders/ials/ials.h"
#include "tests/model/recommenders/fitted.h"
#include "tests/support/mpi_world.h"
#include "tests/support/thread_world.h"

namespace cllm::closed_form_tests {
namespace {

using namespace testing;

const Corpus& shared_corpus() {
  static const SmallCorpus small;
  return small.corpus();
}

using Lists = std::vector<std::vector<ScoredItem>>;

/// A fitted model's lists of this rank's users, and its last loss.
struct Fit {
  Lists lists;
  double loss = 0;
};

Fit fit(const Model& line, const ModelOptions& options, Communicator& comm, TwoLevels* levels = nullptr) {
  const Channels channels(comm);
  const auto model =
      line.open(options, {.corpus = shared_corpus(), .channels = channels, .levels = levels, .agreed = {}});
  const double loss = run_program(*model).back().loss;
  return {model->top_items(training_queries(shared_corpus(), comm.rank(), comm.world_size()), 8), loss};
}

Fit fit_alone(const Model& line, const ModelOptions& options) {
  ThreadCommunicator comm(std::make_shared<SharedWorld>(1), 0);
  return fit(line, options, comm);
}

void expect_same(const Fit& alone, const Fit& together, Communicator& comm, double tolerance, std::string_view name) {
  EXPECT_NEAR(together.loss, alone.loss, 1e-9 + tolerance) << name;
  const RowPartition users(kSmallUsers, comm.world_size());
  ASSERT_EQ(std::ssize(together.lists), users.size(comm.rank()));
  for (size_t n = 0; n < together.lists.size(); ++n) {
    const auto& expected = alone.lists[static_cast<size_t>(users.begin(comm.rank())) + n];
    ASSERT_EQ(together.lists[n].size(), expected.size()) << name;
    for (size_t place = 0; place < expected.size(); ++place) {
      if (tolerance == 0) {
        EXPECT_EQ(together.lists[n][place], expected[place]) << name;
      }
      EXPECT_NEAR(together.lists[n][place].score, expected[place].score, tolerance) << name;
    }
  }
}

TEST(ClosedFormOnRanks, ListsAreBitwiseThoseOfOneRank) {
  const auto comm = session->world();
  for (const Model& line : {popularity_model(), item_cosine_model(), ease_model(), ease_text_model()}) {
    const auto options = line.options();
    expect_same(fit_alone(line, *options), fit(line, *options, *comm), *comm, 0, line.name);
  }
}

TEST(ClosedFormOnRanks, NeighboursOfACosineAreThoseOfOneRank) {
  const auto comm = session->world();
  ItemCosineOptions options;
  options.neighbours = 3, options.shrink = 2, options.recency = 0.7;
  expect_same(fit_alone(item_cosine_model(), options), fit(item_cosine_model(), options, *comm), *comm, 0, "cosine");
}

TEST(ClosedFormOnRanks, RowsTravelInTwoLevelsToTheSameLists) {
  const auto comm = session->world();
  if (comm->world_size() % 2 != 0) GTEST_SKIP() << "nodes of two ranks need an even world";
  TwoLevels levels = session->levels(2);
  const auto options = ease_model().options();
  expect_same(fit_alone(ease_model(), *options), fit(ease_model(), *options, *comm, &levels), *comm, 0, "ease");
}

TEST(ClosedFormOnRanks, FactorsAreThoseOfOneRankUpToTheRoundingOfTheirSums) {
  const auto comm = session->world();
  IalsOptions options;
  options.width = 6, options.epochs = 5, options.alpha0 = 0.2, options.lambda = 0.05;
  expect_same(fit_alone(ials_model(), options), fit(ials_model(), options, *comm), *comm, 1e-5, "ials");
}

TEST(ClosedFormOnRanks, AllRanksRefuseWhatOneCannotHold) {
  const auto comm = session->world();
  EaseOptions options;
  options.memory_gib = 1e-5;
  const Channels channels(*comm);
  EXPECT_THROW(Ease(options, {.corpus = shared_corpus(), .channels = channels, .agreed = {}}), ModelError);
}

}  // namespace
}  // namespace cllm::closed_form_tests
