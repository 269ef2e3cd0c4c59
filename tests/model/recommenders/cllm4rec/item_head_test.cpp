#include "model/recommenders/cllm4rec/item_head.h"

#include <gtest/gtest.h>

namespace cllm {
namespace {

ItemSoftmax chosen(const std::string& name, int64_t num_items, double share) {
  OptimizerSection optimizer;
  optimizer.item_softmax = name;
  return choose_item_softmax(optimizer, num_items, share);
}

constexpr int64_t kFewest = kItemsPerNegative * 4096;  // items for the default number of negatives

TEST(ItemHead, AutoIsExactUntilTheItemsCostMoreThanTheBackboneAndAreMany) {
  EXPECT_EQ(OptimizerSection().negatives, 4096);
  EXPECT_EQ(chosen("auto", kFewest, 1.01), ItemSoftmax::kSampled);
  EXPECT_EQ(chosen("auto", kFewest, 1.0), ItemSoftmax::kSharded);
  EXPECT_EQ(chosen("auto", kFewest - 1, 100), ItemSoftmax::kSharded);
  EXPECT_EQ(chosen("auto", 0, 0), ItemSoftmax::kSharded);
}

TEST(ItemHead, OfTwentyMillionItemsAboutTwoHundredPositionsAreExactBesideGpt2SmallOf65536Tokens) {
  constexpr double kJ = 2e7, kD = 768, kL = 12, kTokens = 65'536;
  const auto share = [&](double positions) { return 6 * positions * kJ * kD / (48 * kTokens * kL * kD * kD); };
  EXPECT_EQ(chosen("auto", 20'000'000, share(200)), ItemSoftmax::kSharded);
  EXPECT_EQ(chosen("auto", 20'000'000, share(300)), ItemSoftmax::kSampled);
}

TEST(ItemHead, WhatIsNamedIsTaken) {
  for (const double share : {0.0, 100.0}) {
    EXPECT_EQ(chosen("sharded", 1 << 30, share), ItemSoftmax::kSharded);
    EXPECT_EQ(chosen("gathered", 1 << 30, share), ItemSoftmax::kGathered);
    EXPECT_EQ(chosen("sampled", 10, share), ItemSoftmax::kSampled);
  }
}

}  // namespace
}  // namespace cllm
