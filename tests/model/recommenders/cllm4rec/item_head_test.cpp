#include "model/recommenders/cllm4rec/item_head.h"

#include <gtest/gtest.h>

namespace cllm {
namespace {

ItemSoftmax chosen(ItemSoftmaxChoice choice, int64_t num_items, double share) {
  Cllm4recOptions options;
  options.item_softmax = choice;
  return choose_item_softmax(options, num_items, share);
}

constexpr int64_t kFewest = kItemsPerNegative * 4096;  // items for the default number of negatives

TEST(ItemHead, AutoIsExactUntilTheItemsCostMoreThanTheBackboneAndAreMany) {
  EXPECT_EQ(Cllm4recOptions().negatives, 4096);
  EXPECT_EQ(chosen(ItemSoftmaxChoice::kAuto, kFewest, 1.01), ItemSoftmax::kSampled);
  EXPECT_EQ(chosen(ItemSoftmaxChoice::kAuto, kFewest, 1.0), ItemSoftmax::kSharded);
  EXPECT_EQ(chosen(ItemSoftmaxChoice::kAuto, kFewest - 1, 100), ItemSoftmax::kSharded);
  EXPECT_EQ(chosen(ItemSoftmaxChoice::kAuto, 0, 0), ItemSoftmax::kSharded);
}

TEST(ItemHead, OfTwentyMillionItemsAboutTwoHundredPositionsAreExactBesideGpt2SmallOf65536Tokens) {
  constexpr double kItems = 2e7, kWidth = 768, kLayers = 12, kTokens = 65'536;
  const auto share = [&](double positions) {
    return 6 * positions * kItems * kWidth / (48 * kTokens * kLayers * kWidth * kWidth);
  };
  EXPECT_EQ(chosen(ItemSoftmaxChoice::kAuto, 20'000'000, share(200)), ItemSoftmax::kSharded);
  EXPECT_EQ(chosen(ItemSoftmaxChoice::kAuto, 20'000'000, share(300)), ItemSoftmax::kSampled);
}

TEST(ItemHead, WhatIsNamedIsTaken) {
  for (const double share : {0.0, 100.0}) {
    EXPECT_EQ(chosen(ItemSoftmaxChoice::kSharded, 1 << 30, share), ItemSoftmax::kSharded);
    EXPECT_EQ(chosen(ItemSoftmaxChoice::kGathered, 1 << 30, share), ItemSoftmax::kGathered);
    EXPECT_EQ(chosen(ItemSoftmaxChoice::kSampled, 10, share), ItemSoftmax::kSampled);
  }
}

}  // namespace
}  // namespace cllm
