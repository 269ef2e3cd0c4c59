#include "model/evaluation/metrics.h"

#include <gmock/gmock.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>

#include "model/errors.h"
#include "model/evaluation/ranking.h"
#include "tests/support/thread_world.h"

namespace cllm {
namespace {

using MetricIds = std::vector<int32_t>;

std::vector<int32_t> metric_list_of(const std::vector<double>& scores, const MetricIds& masked, int64_t k) {
  TopK top(k);
  top.add<double>(scores, masked);
  MetricIds out;
  for (const ScoredItem& item : top.take()) out.push_back(item.item);
  return out;
}

double metric_value(const std::string& name, const MetricIds& ranked, const MetricIds& held_out,
                    const ItemCounts* counts = nullptr) {
  const std::vector<std::string> names = {name};
  return MetricList::parse(names, "test").of_user(ranked, held_out, counts).at(0);
}

std::string metric_refusal(const std::string& name) {
  try {
    parse_metric(name, "evaluation.metrics");
  } catch (const ModelError& error) {
    return error.what();
  }
  return "";
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
    auto masked = c.at("train").get<MetricIds>(), held_out = c.at("test").get<MetricIds>();
    std::ranges::sort(masked);
    std::ranges::sort(held_out);
    for (const auto& [k, expected] : c.at("expected").items()) {
      const MetricIds ranked = metric_list_of(c.at("scores").get<std::vector<double>>(), masked, std::stoll(k));
      for (const auto& [name, wanted] : expected.items())
        EXPECT_NEAR(metric_value(name + "@" + k, ranked, held_out), wanted.get<double>(), 1e-12) << name;
    }
  }
}

TEST(Metrics, HitMrrMapAndPrecisionAreThoseComputedByHand) {
  const MetricIds ranked = {9, 4, 7, 2, 5}, held_out = {2, 3, 4};  // hits at ranks 2 and 4
  EXPECT_EQ(metric_value("hit@1", ranked, held_out), 0);
  EXPECT_EQ(metric_value("hit@2", ranked, held_out), 1);
  EXPECT_EQ(metric_value("hit@5", ranked, held_out), 1);
  EXPECT_EQ(metric_value("mrr@1", ranked, held_out), 0);
  EXPECT_EQ(metric_value("mrr@5", ranked, held_out), 0.5);
  EXPECT_EQ(metric_value("precision@4", ranked, held_out), 0.5);
  EXPECT_EQ(metric_value("precision@10", ranked, held_out), 0.2);  // of K, also when the list is shorter
  EXPECT_DOUBLE_EQ(metric_value("map@2", ranked, held_out), (1.0 / 2) / 2);
  EXPECT_DOUBLE_EQ(metric_value("map@5", ranked, held_out), (1.0 / 2 + 2.0 / 4) / 3);
  EXPECT_DOUBLE_EQ(metric_value("recall@5", ranked, held_out), 2.0 / 3);
  EXPECT_DOUBLE_EQ(metric_value("f1@4", ranked, held_out), 2 / (1 / (2.0 / 4) + 1 / (2.0 / 3)));
}

TEST(Metrics, NoveltyIsTheMeanSelfInformationOfTheListedItems) {
  const ItemCounts counts{.users = {8, 4, 1, 0}, .num_users = 8};
  EXPECT_DOUBLE_EQ(metric_value("novelty@2", {0, 1}, {3}, &counts), (0 + 1) / 2.0);
  EXPECT_DOUBLE_EQ(metric_value("novelty@1", {2, 0}, {3}, &counts), 3);
  EXPECT_DOUBLE_EQ(metric_value("novelty@9", {3}, {3}, &counts), 3);  // as if one user had it
  EXPECT_EQ(metric_value("novelty@9", {}, {3}, &counts), 0);
}

TEST(Metrics, EveryLineOfTheTableIsParsedByItsName) {
  EXPECT_GE(metrics().size(), 8u);
  for (const Metric& metric : metrics()) {
    const MetricAt at = parse_metric(std::string(metric.name) + "@7", "test");
    EXPECT_EQ(at.metric, &metric);
    EXPECT_EQ(at.name(), std::string(metric.name) + "@7");
    EXPECT_NE(metric.of_user == nullptr, metric.of_lists == nullptr) << metric.name;
  }
}

TEST(Metrics, ANameThatIsNoneIsRefusedWithWhatToWrite) {
  using ::testing::HasSubstr;
  EXPECT_THAT(metric_refusal("recal@20"),
              HasSubstr("evaluation.metrics: \"recal@20\" is no metric; the nearest is recall@20"));
  EXPECT_THAT(metric_refusal("nDCG"), HasSubstr("the nearest is ndcg@20 (there are recall, ndcg,"));
  EXPECT_THAT(metric_refusal("ndcg"), HasSubstr("add the length of the lists, e.g. ndcg@20"));
  for (const char* text : {"hit@0", "hit@-1", "hit@", "hit@ten", "hit@5x", "hit@99999999999999999999"})
    EXPECT_THAT(metric_refusal(text), HasSubstr("K is a number from 1, e.g. hit@20")) << text;
  EXPECT_EQ(metric_refusal("hit@1"), "");
}

TEST(MetricList, HoldsEveryMetricOnceAndTheLongestList) {
  MetricList list({20, 40}, {100});
  list.add(parse_metric("recall@20", "test"));
  list.add(parse_metric("coverage@200", "test"));
  EXPECT_THAT(list.names(), ::testing::ElementsAre("recall@20", "recall@40", "ndcg@100", "coverage@200"));
  EXPECT_THAT(list.per_user().names(), ::testing::ElementsAre("recall@20", "recall@40", "ndcg@100"));
  EXPECT_EQ(list.longest(), 200);
  EXPECT_FALSE(list.needs_counts());
}

TEST(MetricMean, UsersWithoutHeldOutItemsDoNotCount) {
  MetricMean mean(MetricList({2}, {}));
  mean.add(MetricIds{1, 2}, MetricIds{1});
  mean.add(MetricIds{1, 2}, MetricIds{});
  EXPECT_EQ(mean.num_users(), 1);
  EXPECT_EQ(mean.values(), std::vector<double>{1.0});
}

TEST(MetricMean, OverRanksIsTheMeanOverUsersNotOverRanks) {
  testing::run_ranks(3, [](Communicator& comm) {
    MetricMean mean(MetricList({1}, {1}));
    for (int n = 0; n < comm.rank(); ++n)
      mean.add(MetricIds{1}, n == 0 ? MetricIds{1} : MetricIds{2});  // rank 1: 1 user; rank 2: 2 users
    mean.all_reduce(comm);
    EXPECT_EQ(mean.num_users(), 3);
    EXPECT_EQ(mean.values(), (std::vector<double>{2.0 / 3, 2.0 / 3}));
  });
}

TEST(MetricMean, CoverageIsTheShareOfItemsInAnyListOfAnyRank) {
  const std::vector<std::string> names = {"coverage@1", "recall@1", "coverage@2"};
  testing::run_ranks(2, [&](Communicator& comm) {
    MetricMean mean(MetricList::parse(names, "test"), 10);
    mean.add(comm.rank() == 0 ? MetricIds{0, 1} : MetricIds{0, 2}, MetricIds{0});
    mean.all_reduce(comm);
    EXPECT_EQ(mean.values(), (std::vector<double>{0.1, 1.0, 0.3}));
  });
}

}  // namespace
}  // namespace cllm
