#include "model/evaluation/selection.h"

#include <gmock/gmock.h>

#include "model/errors.h"

namespace cllm {
namespace {

std::string selection_refusal(const std::string& text) {
  try {
    const Selection selection(text, "evaluation.select");
  } catch (const ModelError& error) {
    return error.what();
  }
  return "";
}

TEST(Selection, AddsTheNamedMetrics) {
  const Selection selection("recall@20+mrr@10");
  EXPECT_DOUBLE_EQ(selection.score({{"recall@20", 0.25}, {"mrr@10", 0.5}, {"ndcg@100", 9}}), 0.75);
  EXPECT_THROW(selection.score({{"recall@20", 0.25}}), std::out_of_range);
}

TEST(Selection, AddsWhatItNeedsToTheMetricsThatAreComputed) {
  EXPECT_THAT(Selection("recall@20+mrr@10").with(MetricList({20}, {100})).names(),
              ::testing::ElementsAre("recall@20", "ndcg@100", "mrr@10"));
}

TEST(Selection, OtherTextsAreRefusedWithTheKey) {
  EXPECT_EQ(selection_refusal(""), "evaluation.select is empty: write recall@K and ndcg@K joined by '+'");
  EXPECT_THAT(selection_refusal("recall@20+loss@1"),
              ::testing::HasSubstr("evaluation.select = \"recall@20+loss@1\": \"loss@1\" is no metric; "));
  EXPECT_THAT(selection_refusal("recall@20++ndcg@5"), ::testing::HasSubstr("\"\" is no metric"));
}

}  // namespace
}  // namespace cllm
