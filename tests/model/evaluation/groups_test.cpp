#include "model/evaluation/groups.h"

#include <gmock/gmock.h>

#include "tests/support/thread_world.h"

namespace cllm {
namespace {

using ::testing::ElementsAre;

std::vector<std::string> group_titles(const std::vector<MetricGroup>& groups) {
  std::vector<std::string> out;
  for (const MetricGroup& group : groups)
    out.push_back(group.by + " " + group.name + ": " + std::to_string(group.num_users));
  return out;
}

TEST(MetricGroups, ThirdsHaveEqualNumbersOfItemsMostFrequentFirst) {
  using enum Frequency;
  EXPECT_THAT(frequency_thirds({.users = {1, 9, 5, 5, 0, 7}, .num_users = 9}),
              ElementsAre(kTail, kHead, kMid, kMid, kTail, kHead));
  EXPECT_THAT(frequency_thirds({.users = {3, 3, 3, 3}, .num_users = 3}), ElementsAre(kHead, kHead, kMid, kTail));
  EXPECT_TRUE(frequency_thirds({}).empty());
}

TEST(MetricGroups, AUserIsInTheBinOfItsHistoryAndInEveryThirdOfItsItems) {
  const ItemCounts counts{.users = {6, 5, 4, 3, 2, 1}, .num_users = 6};
  const std::vector<std::string> names = {"recall@2", "novelty@2", "coverage@2"};
  testing::run_ranks(2, [&](Communicator& comm) {
    MetricGroups groups(MetricList::parse(names, "test"), counts);
    const std::vector<int32_t> ranked = {0, 2}, head_and_tail = {0, 4}, mid = {2, 3};
    if (comm.rank() == 0) {
      for (const size_t length : {0, 1, 4, 5, 9, 10, 19, 20, 49, 50, 1000}) groups.add(length, ranked, head_and_tail);
    } else {
      groups.add(7, ranked, mid);
    }
    groups.all_reduce(comm);
    const auto values = groups.values();
    EXPECT_THAT(group_titles(values),
                ElementsAre("history 0: 1", "history 1-4: 2", "history 5-9: 3", "history 10-19: 2", "history 20-49: 2",
                            "history 50+: 2", "items head: 11", "items mid: 1", "items tail: 11"));
    EXPECT_EQ(values[2].values.at("recall@2"), 0.5);  // one of two items, of all three users
    EXPECT_EQ(values[2].values.count("novelty@2"), 1u);
    EXPECT_EQ(values[2].values.count("coverage@2"), 0u);  // of all lists together
    EXPECT_EQ(values[6].values.at("recall@2"), 1);        // item 0 alone was to be found
    EXPECT_EQ(values[7].values.at("recall@2"), 0.5);
    EXPECT_EQ(values[8].values.at("recall@2"), 0);
    EXPECT_EQ(values[8].values.size(), 1u);
  });
}

}  // namespace
}  // namespace cllm
