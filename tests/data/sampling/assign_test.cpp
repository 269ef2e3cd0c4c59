#include "data/sampling/assign.h"

#include <gmock/gmock.h>

#include <numeric>

#include "data/random.h"

namespace cllm {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;

std::vector<int64_t> loads_of(const std::vector<int64_t>& lengths, const std::vector<int>& ranks, int num_ranks) {
  std::vector<int64_t> loads(static_cast<size_t>(num_ranks));
  for (size_t n = 0; n < lengths.size(); ++n) loads[static_cast<size_t>(ranks[n])] += lengths[n];
  return loads;
}

TEST(Assign, LongestGoFirstToTheLeastLoadedRank) {
  EXPECT_THAT(assign_balanced(std::vector<int64_t>{3, 9, 4, 4, 2}, 2), ElementsAre(1, 0, 1, 1, 0));  // 9 | 4 4 3 | 2
}

TEST(Assign, LoadsDifferByAtMostOneSequence) {
  CounterRng rng(1);
  for (const int num_ranks : {1, 2, 3, 4, 7}) {
    std::vector<int64_t> lengths;
    for (int n = 0; n < 160; ++n) lengths.push_back(static_cast<int64_t>(5 + rng.below(124)));
    const std::vector<int64_t> loads = loads_of(lengths, assign_balanced(lengths, num_ranks), num_ranks);
    const auto [least, most] = std::minmax_element(loads.begin(), loads.end());
    EXPECT_LE(*most - *least, 10) << num_ranks;  // the last ones placed are the shortest
  }
}

TEST(Assign, RanksMayStayEmpty) {
  EXPECT_THAT(assign_balanced(std::vector<int64_t>{5, 5}, 4), ElementsAre(0, 1));
  EXPECT_THAT(assign_balanced({}, 4), ElementsAre());
}

TEST(Assign, RoundRobinDealsInOrder) { EXPECT_THAT(assign_round_robin(5, 3), ElementsAre(0, 1, 2, 0, 1)); }

}  // namespace
}  // namespace cllm
