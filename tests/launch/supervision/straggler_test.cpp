#include "launch/supervision/straggler.h"

#include <gtest/gtest.h>

#include <random>

namespace cllm::testing {
namespace {

/// Steps until a straggler is named, -1 if none in `steps`. Rank `slow` takes `factor` times as long; all vary by some
/// 15 %.
int steps_until_named(int world_size, int slow, double factor, int steps, int* named = nullptr, double step_s = 1) {
  std::mt19937 random(7);
  std::normal_distribution<double> noise(1, 0.15);
  StragglerWatch watch;
  for (int step = 1; step <= steps; ++step) {
    std::vector<RankWork> ranks;
    for (int rank = 0; rank < world_size; ++rank)
      ranks.push_back({step_s * std::max(0.2, noise(random)) * (rank == slow ? factor : 1), 1000});
    if (const auto found = watch.add(ranks)) {
      if (named != nullptr) *named = found->rank;
      return step;
    }
  }
  return -1;
}

TEST(Straggler, ARankThatIsTwiceAsSlowIsNamedWithinTwentySteps) {
  for (const int world_size : {2, 3, 4, 64}) {
    int named = -1;
    const int step = steps_until_named(world_size, world_size - 1, 2, 20, &named);
    EXPECT_GT(step, 0) << world_size << " ranks";
    EXPECT_EQ(named, world_size - 1);
  }
}

TEST(Straggler, InStepsOfMillisecondsASharedCoreIsNoStraggler) {
  for (const int world_size : {2, 4}) {
    EXPECT_EQ(steps_until_named(world_size, 0, 1.25, 10000, nullptr, 0.005), -1) << world_size << " ranks";
    EXPECT_GT(steps_until_named(world_size, 0, 2, 200, nullptr, 0.005), 0) << world_size << " ranks";
  }
  EXPECT_GT(steps_until_named(2, 0, 1.5, 100), 0);  // in longer steps it is one
}

TEST(Straggler, ACoreThatIsTakenForSomeHundredMillisecondsIsNoReason) {
  StragglerWatch watch;
  for (int step = 0; step < 1000; ++step) {
    const double own_s = step % 200 < 60 ? 0.012 : 0.005;  // 0.7 s in 1.4 s
    EXPECT_FALSE(watch.add(std::vector<RankWork>{{own_s, 10}, {0.005, 10}}).has_value()) << step;
  }
}

TEST(Straggler, TenThousandCleanStepsRaiseNoAlarm) {
  for (const int world_size : {2, 3, 8})
    EXPECT_EQ(steps_until_named(world_size, 0, 1, 10000), -1) << world_size << " ranks";
}

TEST(Straggler, SingleSlowStepsAndMoreTokensAreNoReason) {
  StragglerWatch watch;
  for (int step = 0; step < 1000; ++step) {
    const double hiccup = step % 4 == 0 ? 10 : 1;
    EXPECT_FALSE(watch.add(std::vector<RankWork>{{1.0 * hiccup, 1000}, {1, 1000}, {3, 3000}, {0.1, 0}}).has_value())
        << step;
  }
}

TEST(Straggler, IsNamedOnceUntilItWasWell) {
  StragglerWatch watch;
  int alarms = 0;
  const auto steps = [&](int count, double own_s) {
    for (int step = 0; step < count; ++step)
      alarms += watch.add(std::vector<RankWork>{{own_s, 10}, {1, 10}, {1, 10}}).has_value();
  };
  steps(100, 2);
  EXPECT_EQ(alarms, 1);
  steps(40, 1);
  steps(40, 2);
  EXPECT_EQ(alarms, 2);
}

TEST(Straggler, AWorldOfOneHasNone) { EXPECT_EQ(steps_until_named(1, 0, 5, 100), -1); }

}  // namespace
}  // namespace cllm::testing
