#include "model/recommenders/cllm4rec/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace cllm {
namespace {

using ::testing::HasSubstr;

TEST(Cllm4recOptions, TextsGetThePromptOfWhatTheyName) {
  EXPECT_EQ(PromptOptions().item_prompt("title"), "The title of {item} is:");
}

TEST(Cllm4recOptions, DropoutFallsBackFromStageToSectionToBackbone) {
  Cllm4recOptions options;
  options.dropout = {.embedding = {}, .attention = 0.3, .residual = 0.2};
  options.finetune.dropout.residual = 0.5;
  const Dropout rates = options.dropout_of(options.finetune, {.embedding = 0.1, .attention = 0.1, .residual = 0.1});
  EXPECT_EQ(rates.embedding, 0.1);
  EXPECT_EQ(rates.attention, 0.3);
  EXPECT_EQ(rates.residual, 0.5);
}

TEST(Cllm4recOptions, LearningRateDecaysOverTheStage) {
  StageOptions stage{.learning_rate = 0.5};
  EXPECT_EQ(learning_rate_at(stage, 9, 10), 0.5);
  stage.decay = Decay::kLinear;
  EXPECT_DOUBLE_EQ(learning_rate_at(stage, 5, 10), 0.25);
  stage.decay = Decay::kCosine;
  EXPECT_DOUBLE_EQ(learning_rate_at(stage, 0, 10), 0.5);
  EXPECT_NEAR(learning_rate_at(stage, 5, 10), 0.25, 1e-15);
}

TEST(Cllm4recOptions, PromptsWithoutTheirWordsOrWithUnknownOnesAreAProblem) {
  Cllm4recOptions options;
  EXPECT_EQ(options.problem(), "");
  options.prompts.collaborative = "hello";
  EXPECT_THAT(options.problem(), HasSubstr("prompts.collaborative = \"hello\": {user} is missing"));
  options = {};
  options.prompts.review = "{user} {kind}";
  EXPECT_THAT(options.problem(), HasSubstr("{kind} is unknown"));
  options = {};
  options.prompts.item_content = "{kind} of {item} {a brace of the text}";
  EXPECT_EQ(options.problem(), "");
}

TEST(Cllm4recOptions, ARecipeSetsDefaultsThatGoTogetherWithAndWithoutALanguageModel) {
  for (const std::string recipe : {"paper", "sets", "sequence"}) {
    for (const std::string backbone : {"backbone", "none"}) {
      Cllm4recOptions options;
      options.recipe = recipe, options.backbone = backbone;
      options.apply_presets();
      if (recipe == "paper" && backbone == "none") continue;  // C-steps
      EXPECT_EQ(options.problem(), "") << recipe << ", " << backbone;
      options.text_rows.source = "tf-idf";
      EXPECT_EQ(options.problem() == "", recipe != "paper") << recipe << ", " << backbone;
      options.variant = "llm-fixord";
      options.apply_presets();
      EXPECT_EQ(options.loss.item_order, ItemOrder::kAscending);
    }
  }
  Cllm4recOptions sequence;
  sequence.recipe = "sequence", sequence.preset = "release";
  sequence.apply_presets();
  EXPECT_EQ(sequence.loss.item_order, ItemOrder::kTime);
  EXPECT_EQ(sequence.history_dropout.items, 0.15);
}

TEST(Cllm4recOptions, NothingToTrainIsAProblem) {
  Cllm4recOptions options;
  options.warmup.epochs = options.mutual.epochs = options.finetune.epochs = 0;
  EXPECT_THAT(options.problem(), HasSubstr("all 0"));
}

TEST(Cllm4recOptions, AdaptersStandBesideAFrozenBackboneAndAreTrained) {
  Cllm4recOptions options;
  options.adapters.rank = 2;
  EXPECT_EQ(options.problem(), "");
  options.adapter_steps.clear();
  EXPECT_THAT(options.problem(), HasSubstr("no step would train the adapters"));
  options.adapter_steps = {"F"};
  options.train_backbone = true;
  EXPECT_THAT(options.problem(), HasSubstr("set one of the two"));
}

TEST(Cllm4recOptions, KeysOfACloneSetTheClone) {
  Cllm4recOptions options;
  const auto copy = options.clone();
  Settings settings;
  copy->describe(settings);
  std::get<Named>(std::ranges::find(settings, "loss.mr_scale", &Setting::key)->target).set("sum_all_positions");
  EXPECT_EQ(options.loss.mr_scale, MrScale::kHalfPerDistinctId);
  EXPECT_EQ(dynamic_cast<const Cllm4recOptions&>(*copy).loss.mr_scale, MrScale::kSumAllPositions);
}

}  // namespace
}  // namespace cllm
