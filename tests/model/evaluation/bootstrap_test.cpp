#include "model/evaluation/bootstrap.h"

#include <gtest/gtest.h>

#include <cmath>
#include <mutex>

#include "data/random.h"
#include "tests/support/thread_world.h"

namespace cllm {
namespace {

/// Users user = rank, rank + world size, ... of 500; a normal value of deviation 1 and a constant.
UserValues share_of_500(const Communicator& comm) {
  UserValues mine;
  for (int64_t user = comm.rank(); user < 500; user += comm.world_size()) {
    CounterRng draws(stream_key(3, Purpose::kDemoData, static_cast<uint64_t>(user)));
    mine.add(user, {draws.normal(), 0.25});
  }
  return mine;
}

std::vector<Interval> intervals_of(int world_size, int64_t resamples, uint64_t seed) {
  std::vector<Interval> out;
  std::mutex mutex;
  testing::run_ranks(world_size, [&](Communicator& comm) {
    const auto intervals = bootstrap_means(comm, gather(comm, share_of_500(comm)), resamples, seed);
    const std::scoped_lock lock(mutex);
    if (comm.rank() == 0) out = intervals;
  });
  return out;
}

TEST(Bootstrap, GatheredUsersAscendOnEveryRankForAnyWorldSize) {
  for (const int world_size : {1, 2, 3, 7}) {
    testing::run_ranks(world_size, [](Communicator& comm) {
      const UserValues all = gather(comm, share_of_500(comm));
      ASSERT_EQ(all.users.size(), 500u);
      EXPECT_EQ(all.width, 2u);
      for (size_t n = 0; n < 500; ++n) {
        EXPECT_EQ(all.users[n], static_cast<int64_t>(n));
        CounterRng draws(stream_key(3, Purpose::kDemoData, n));
        EXPECT_EQ(all.values[2 * n], draws.normal());
      }
    });
  }
}

TEST(Bootstrap, ARankWithoutUsersTakesPart) {
  testing::run_ranks(3, [](Communicator& comm) {
    UserValues mine;
    if (comm.rank() == 1) mine.add(4, {0.5});
    const UserValues all = gather(comm, mine);
    EXPECT_EQ(all.users, std::vector<int64_t>{4});
    EXPECT_EQ(bootstrap_means(comm, all, 10, 1), (std::vector<Interval>{{0.5, 0.5}}));
  });
}

TEST(Bootstrap, NoUsersAtAllGiveNoIntervals) {
  testing::run_ranks(2,
                     [](Communicator& comm) { EXPECT_TRUE(bootstrap_means(comm, gather(comm, {}), 10, 1).empty()); });
}

TEST(Bootstrap, TheIntervalIsThatOfTheNormalMean) {
  const auto intervals = intervals_of(1, 2000, 1);
  double mean = 0;
  for (uint64_t user = 0; user < 500; ++user)
    mean += CounterRng(stream_key(3, Purpose::kDemoData, user)).normal() / 500;
  const double half = 1.96 / std::sqrt(500.0);
  EXPECT_NEAR(intervals.at(0).low, mean - half, 0.1 * half);
  EXPECT_NEAR(intervals.at(0).high, mean + half, 0.1 * half);
  EXPECT_EQ(intervals.at(1), (Interval{0.25, 0.25}));  // a value that does not vary
}

TEST(Bootstrap, IsTheSameForAnyWorldSizeAndAnotherForAnotherSeed) {
  const auto one = intervals_of(1, 100, 1);
  for (const int world_size : {2, 3, 4}) EXPECT_EQ(intervals_of(world_size, 100, 1), one) << world_size;
  EXPECT_NE(intervals_of(1, 100, 2), one);
}

}  // namespace
}  // namespace cllm
