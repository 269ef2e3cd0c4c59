#include "model/evaluation/ranking.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

namespace cllm {
namespace {

std::vector<int32_t> items_of(const std::vector<ScoredItem>& list) {
  std::vector<int32_t> out;
  for (const ScoredItem& item : list) out.push_back(item.item);
  return out;
}

std::vector<int32_t> best(const std::vector<double>& scores, const std::vector<int32_t>& masked, int64_t k) {
  TopK top(k);
  top.add<double>(scores, masked);
  return items_of(top.take());
}

using Items = std::vector<int32_t>;

TEST(TopK, SortsByScoreAndGivesTiesToTheLowerItem) {
  EXPECT_EQ(best({1, 3, 2, 3, 1}, {}, 5), (Items{1, 3, 2, 0, 4}));
  EXPECT_EQ(best({1, 3, 2, 3, 1}, {}, 2), (Items{1, 3}));
  EXPECT_EQ(best({0, 0, 0, 0}, {}, 2), (Items{0, 1}));
}

TEST(TopK, MaskedItemsNeverAppearSoListsMayBeShort) {
  EXPECT_EQ(best({1, 3, 2}, {1}, 3), (Items{2, 0}));
  EXPECT_EQ(best({1, 3, 2}, {0, 1, 2}, 3), Items{});
  EXPECT_EQ(best({}, {}, 3), Items{});
  EXPECT_EQ(best({1, 2}, {}, 0), Items{});
}

TEST(TopK, ScoresThatAreNoNumbersNeverAppear) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(best({nan, 1, nan, 2}, {}, 4), (Items{3, 1}));
}

TEST(TopK, PiecesOfAnySizeGiveTheSameList) {
  std::vector<float> scores;
  for (int n = 0; n < 1000; ++n) scores.push_back(static_cast<float>(n * 37 % 101));
  TopK whole(50), pieces(50);
  whole.add<float>(scores, {});
  for (size_t begin = 0, width = 1; begin < scores.size(); begin += width++) {
    pieces.add<float>(std::span(scores).subspan(begin, std::min(width, scores.size() - begin)), {},
                      static_cast<int64_t>(begin));
  }
  EXPECT_EQ(whole.take(), pieces.take());
}

}  // namespace
}  // namespace cllm
