#include "data/sampling/prefetch.h"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>

namespace cllm {
namespace {

int64_t numbered(int64_t step) { return step; }

TEST(Prefetcher, GivesTheBatchesInOrderAndThenEnds) {
  for (const int64_t depth : {1, 2, 50}) {
    Prefetcher<int64_t> prefetcher(numbered, 3, 40, depth);
    for (int64_t step = 3; step < 40; ++step) {
      EXPECT_EQ(prefetcher.next(), step);
    }
    EXPECT_FALSE(prefetcher.next());
    EXPECT_FALSE(prefetcher.next());
  }
}

TEST(Prefetcher, AnErrorComesInPlaceOfItsBatch) {
  const auto make = [](int64_t step) -> int64_t {
    if (step == 2) throw std::runtime_error("batch 2 is damaged");
    return numbered(step);
  };
  Prefetcher<int64_t> prefetcher(make, 0, 9);
  EXPECT_EQ(prefetcher.next(), 0);
  EXPECT_EQ(prefetcher.next(), 1);
  EXPECT_THROW(prefetcher.next(), std::runtime_error);
  EXPECT_FALSE(prefetcher.next());
}

TEST(Prefetcher, WorksAtMostItsDepthAheadAndStopsWhenDropped) {
  std::atomic<int64_t> made{0};
  {
    Prefetcher<int64_t> prefetcher([&](int64_t step) { return ++made, numbered(step); }, 0, 1'000'000, 3);
    for (int step = 0; step < 5; ++step) prefetcher.next();
    EXPECT_LE(made, 5 + 3);  // taken, and ready or in work
  }
  EXPECT_LE(made, 5 + 3);
}

}  // namespace
}  // namespace cllm
