#include "model/evaluation/ranking.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>

#include "tests/support/thread_world.h"

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

TEST(Metrics, ReproduceThePublishedDefinition) {
  const char* const shared = std::getenv("CLLM_SHARED");
  const std::string path = (shared != nullptr ? std::string(shared) : std::string(CLLM_SOURCE_DIR) + "/../shared") +
                           "/golden/metrics_golden.json";
  std::ifstream in(path);
  ASSERT_TRUE(in.good()) << path << " is missing; set CLLM_SHARED";
  const auto golden = nlohmann::json::parse(in);
  ASSERT_FALSE(golden.at("cases").empty());
  for (const auto& c : golden.at("cases")) {
    auto masked = c.at("train").get<Items>(), held_out = c.at("test").get<Items>();
    std::ranges::sort(masked);
    std::ranges::sort(held_out);
    for (const auto& [k, expected] : c.at("expected").items()) {
      const Items ranked = best(c.at("scores").get<std::vector<double>>(), masked, std::stoll(k));
      EXPECT_NEAR(recall_at_k(ranked, held_out, std::stoll(k)), expected.at("recall").get<double>(), 1e-12);
      EXPECT_NEAR(ndcg_at_k(ranked, held_out, std::stoll(k)), expected.at("ndcg").get<double>(), 1e-12);
    }
  }
}

TEST(Metrics, UsersWithoutHeldOutItemsDoNotCount) {
  MetricMean mean(MetricChoice{{2}, {}});
  mean.add(Items{1, 2}, Items{1});
  mean.add(Items{1, 2}, Items{});
  EXPECT_EQ(mean.num_users(), 1);
  EXPECT_EQ(mean.values(), std::vector<double>{1.0});
}

TEST(Metrics, TheMeanOverRanksIsTheMeanOverUsersNotOverRanks) {
  testing::run_ranks(3, [](Communicator& comm) {
    MetricMean mean(MetricChoice{{1}, {1}});
    for (int n = 0; n < comm.rank(); ++n)
      mean.add(Items{1}, n == 0 ? Items{1} : Items{2});  // rank 1: 1 user; rank 2: 2 users
    mean.all_reduce(comm);
    EXPECT_EQ(mean.num_users(), 3);
    EXPECT_EQ(mean.values(), (std::vector<double>{2.0 / 3, 2.0 / 3}));
  });
}

}  // namespace
}  // namespace cllm
