#include "model/evaluation/evaluate.h"

#include <gtest/gtest.h>

#include "tests/model/evaluation/known_corpus.h"
#include "tests/support/mpi_world.h"
#include "tests/support/thread_world.h"

namespace cllm {
namespace {

EvaluationOptions all_of_evaluation() {
  std::vector<std::string> names;
  for (const Metric& metric : metrics()) names.push_back(std::string(metric.name) + "@10");
  return {.metrics = MetricList::parse(names, "test"), .batch_users = 4, .bootstrap = 50, .seed = 9, .groups = true};
}

TEST(EvaluateOverRanks, GivesWhatOneRankGives) {
  const testing::KnownCorpus known;  // the same on every rank
  const auto world = testing::session->world();
  EvaluationResult alone;
  testing::run_ranks(1, [&](Communicator& comm) {
    testing::HashScorer scorer;
    alone = evaluate(scorer, known.corpus(), comm, all_of_evaluation());
  });
  testing::HashScorer scorer;
  int64_t mine = 0;
  const auto together =
      evaluate(scorer, known.corpus(), *world, all_of_evaluation(), [&](int64_t user, const std::vector<double>&) {
        EXPECT_EQ(user % world->world_size(), world->rank());
        ++mine;
      });
  EXPECT_LE(mine, 45 / world->world_size() + 15);
  ASSERT_EQ(together.values.size(), metrics().size());
  for (const auto& [name, value] : alone.values) EXPECT_NEAR(together.values.at(name), value, 1e-13) << name;
  EXPECT_EQ(together.values.at("coverage@10"), alone.values.at("coverage@10"));
  EXPECT_EQ(together.intervals, alone.intervals);  // to the last bit
  EXPECT_EQ(together.intervals.size(), metrics().size() - 1);
  EXPECT_EQ(together.num_users, 45);
  EXPECT_EQ(together.protocol, alone.protocol);
  ASSERT_EQ(together.groups.size(), alone.groups.size());
  for (size_t n = 0; n < alone.groups.size(); ++n) {
    EXPECT_EQ(together.groups[n].name, alone.groups[n].name);
    EXPECT_EQ(together.groups[n].num_users, alone.groups[n].num_users);
    for (const auto& [name, value] : alone.groups[n].values)
      EXPECT_NEAR(together.groups[n].values.at(name), value, 1e-13) << alone.groups[n].name << " " << name;
  }
}

}  // namespace
}  // namespace cllm
