#include "model/evaluation/settings.h"

#include <gmock/gmock.h>

#include "model/errors.h"

namespace cllm {
namespace {

const Setting& evaluation_setting(const Settings& settings, const std::string& key) {
  return *std::ranges::find(settings, "evaluation." + key, &Setting::key);
}

TEST(EvaluationSettings, WithoutNamesTheOldCutOffsAreTheMetrics) {
  EvaluationSettings evaluation;
  EXPECT_THAT(evaluation.metric_list().names(), ::testing::ElementsAre("recall@20", "recall@40", "ndcg@100"));
  evaluation.recall_k = {5};
  evaluation.ndcg_k = {};
  EXPECT_THAT(evaluation.metric_list().names(), ::testing::ElementsAre("recall@5"));
  evaluation.metrics = {"hit@10", "coverage@20"};
  EXPECT_THAT(evaluation.metric_list().names(), ::testing::ElementsAre("hit@10", "coverage@20"));
  evaluation.metrics = {"hits@10"};
  EXPECT_THROW(evaluation.metric_list(), ModelError);
}

TEST(EvaluationSettings, OnlyTheTestIsFedTheValidationItemsAndResampled) {
  EvaluationSettings evaluation;
  evaluation.history_at_test = HistoryMode::kTrainAndValidation;
  evaluation.bootstrap = 10;
  const EvaluationOptions test = evaluation.options(Part::kTest, 3),
                          validation = evaluation.options(Part::kValidation, 3);
  EXPECT_EQ(test.history, HistoryMode::kTrainAndValidation);
  EXPECT_EQ(validation.history, HistoryMode::kTrain);
  EXPECT_EQ(test.bootstrap, 10);
  EXPECT_EQ(validation.bootstrap, 0);
  EXPECT_EQ(test.seed, 3u);
}

TEST(EvaluationSettings, NamesOfModesAreThoseOfTheDocumentation) {
  EvaluationSettings evaluation;
  Settings settings;
  describe(evaluation, settings);
  const Setting& history = evaluation_setting(settings, "history_at_test");
  EXPECT_THAT(history.limits.choices, ::testing::ElementsAre("train", "train+validation"));
  std::get<Named>(history.target).set("train+validation");
  EXPECT_EQ(evaluation.history_at_test, HistoryMode::kTrainAndValidation);
  const Setting& mask = evaluation_setting(settings, "mask");
  for (const char* name : {"known", "none", "history"}) {
    std::get<Named>(mask.target).set(name);
    EXPECT_EQ(std::get<Named>(mask.target).get(), name);
  }
  EXPECT_EQ(evaluation.mask, Mask::kHistory);
}

TEST(EvaluationSettings, BlocksAndResamplesDoNotShapeTheTrainedModel) {
  EvaluationSettings evaluation;
  Settings settings;
  describe(evaluation, settings);
  for (const Setting& one : settings) {
    EXPECT_EQ(one.shapes_result, one.key != "evaluation.batch_users" && one.key != "evaluation.bootstrap") << one.key;
    EXPECT_FALSE(one.doc.empty()) << one.key;
  }
  EXPECT_EQ(std::get<std::vector<int64_t>*>(evaluation_setting(settings, "recall_k").target), &evaluation.recall_k);
}

}  // namespace
}  // namespace cllm
