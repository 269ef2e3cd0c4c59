#include "data/sampling/order.h"

#include <gmock/gmock.h>

#include <numeric>
#include <stdexcept>

#include "data/sampling/plan.h"

namespace cllm {
namespace {

std::vector<int64_t> listed(const EpochOrder& order, int64_t size) {
  std::vector<int64_t> samples;
  for (int64_t position = 0; position < size; ++position) samples.push_back(order.at(position));
  return samples;
}

TEST(EpochOrder, IsAPermutationOfAnySize) {
  for (const int64_t size : {1, 2, 3, 7, 255, 256, 257, 1000, 4097, 70000}) {
    std::vector<int64_t> samples = listed(EpochOrder(size, SampleOrder::kShuffled, 42), size);
    std::sort(samples.begin(), samples.end());
    std::vector<int64_t> all(samples.size());
    std::iota(all.begin(), all.end(), 0);
    EXPECT_EQ(samples, all) << size;
  }
}

TEST(EpochOrder, EveryPlaceGetsEverySampleAboutEquallyOften) {
  constexpr int64_t kSize = 10;
  constexpr int kEpochs = 20000;
  std::vector<std::vector<int>> counts(kSize, std::vector<int>(kSize));
  for (uint64_t epoch = 0; epoch < kEpochs; ++epoch) {
    const std::vector<int64_t> samples = listed(EpochOrder(kSize, SampleOrder::kShuffled, epoch), kSize);
    for (size_t position = 0; position < kSize; ++position) ++counts[position][static_cast<size_t>(samples[position])];
  }
  // 2,000 expected, standard deviation 42: six of them.
  for (const std::vector<int>& row : counts)
    EXPECT_THAT(row, ::testing::Each(::testing::AllOf(::testing::Gt(1740), ::testing::Lt(2260))));
}

TEST(EpochOrder, NeighboursAreScattered) {
  constexpr int64_t kSize = 100000;
  const std::vector<int64_t> samples = listed(EpochOrder(kSize, SampleOrder::kShuffled, 1), kSize);
  int64_t near = 0;
  for (size_t n = 1; n < samples.size(); ++n) near += std::abs(samples[n] - samples[n - 1]) <= 10;
  EXPECT_GT(near, 10);  // 20 expected: P(|difference| <= 10) is about 2e-4
  EXPECT_LT(near, 45);
}

TEST(EpochOrder, HugeEpochsNeedNoMemory) {
  constexpr int64_t kSize = 3'000'000'000;
  const EpochOrder order(kSize, SampleOrder::kShuffled, 5);
  for (const int64_t position : {int64_t{0}, kSize / 2, kSize - 1}) {
    EXPECT_GE(order.at(position), 0);
    EXPECT_LT(order.at(position), kSize);
  }
  EXPECT_THROW(order.at(kSize), std::out_of_range);
}

TEST(EpochOrder, KeysGiveOtherOrdersAndSequentialKeepsThem) {
  EXPECT_NE(listed(EpochOrder(50, SampleOrder::kShuffled, 1), 50),
            listed(EpochOrder(50, SampleOrder::kShuffled, 2), 50));
  EXPECT_EQ(listed(EpochOrder(50, SampleOrder::kShuffled, 1), 50),
            listed(EpochOrder(50, SampleOrder::kShuffled, 1), 50));
  EXPECT_EQ(EpochOrder(50, SampleOrder::kSequential, 1).at(17), 17);
}

TEST(Plan, TheStepsOfAnEpochAreItsOrderInGroups) {
  constexpr int64_t kSamples = 107;
  const BatchShape shape{.group_size = 5, .groups_per_batch = 4};
  const EpochOrder order(kSamples, SampleOrder::kShuffled, 3);
  ASSERT_EQ(shape.num_steps(kSamples), 6);
  std::vector<int64_t> seen;
  for (int64_t step = 0; step < 6; ++step) {
    const std::vector<PlannedSample> samples = plan_step(order, kSamples, shape, step);
    for (size_t n = 0; n < samples.size(); ++n) {
      EXPECT_EQ(samples[n].group, static_cast<int32_t>(n / 5));
      seen.push_back(samples[n].sample);
    }
  }
  EXPECT_EQ(seen, listed(order, kSamples));
  EXPECT_EQ(plan_step(order, kSamples, shape, 5).size(), 7u);  // groups of 5 and 2
  EXPECT_THROW(plan_step(order, kSamples, shape, 6), std::out_of_range);
  EXPECT_EQ(shape.num_steps(0), 0);
}

}  // namespace
}  // namespace cllm
