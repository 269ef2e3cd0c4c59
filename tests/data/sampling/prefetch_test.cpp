#include "data/sampling/prefetch.h"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>

namespace cllm {
namespace {

Batch numbered(int64_t step) {
  Batch batch;
  batch.num_groups = step;
  return batch;
}

TEST(Prefetcher, GivesTheBatchesInOrderAndThenEnds) {
  for (const int64_t depth : {1, 2, 50}) {
    Prefetcher prefetcher(numbered, 3, 40, depth);
    for (int64_t step = 3; step < 40; ++step) {
      const std::optional<Batch> batch = prefetcher.next();
      ASSERT_TRUE(batch);
      EXPECT_EQ(batch->num_groups, step);
    }
    EXPECT_FALSE(prefetcher.next());
    EXPECT_FALSE(prefetcher.next());
  }
}

TEST(Prefetcher, AnErrorComesInPlaceOfItsBatch) {
  const auto make = [](int64_t step) -> Batch {
    if (step == 2) throw std::runtime_error("batch 2 is damaged");
    return numbered(step);
  };
  Prefetcher prefetcher(make, 0, 9);
  EXPECT_EQ(prefetcher.next()->num_groups, 0);
  EXPECT_EQ(prefetcher.next()->num_groups, 1);
  EXPECT_THROW(prefetcher.next(), std::runtime_error);
  EXPECT_FALSE(prefetcher.next());
}

TEST(Prefetcher, WorksAtMostItsDepthAheadAndStopsWhenDropped) {
  std::atomic<int64_t> made{0};
  {
    Prefetcher prefetcher([&](int64_t step) { return ++made, numbered(step); }, 0, 1'000'000, 3);
    for (int step = 0; step < 5; ++step) prefetcher.next();
    EXPECT_LE(made, 5 + 3);  // taken, and ready or in work
  }
  EXPECT_LE(made, 5 + 3);
}

}  // namespace
}  // namespace cllm
