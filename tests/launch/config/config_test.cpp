#include "launch/config/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <fstream>

#include "launch/failures/errors.h"

namespace cllm {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

const std::vector<std::string> kPaths = {"--run.corpus=c", "--run.backbone=b"};

std::string write_file(const std::string& text) {
  const std::string path = ::testing::TempDir() + "config_test.toml";
  std::ofstream(path) << text;
  return path;
}

RunConfig from_overrides(std::vector<std::string> overrides) {
  overrides.insert(overrides.begin(), kPaths.begin(), kPaths.end());
  return load_config("", overrides);
}

/// The message of the ConfigError that loading this text throws; "" if it loads.
std::string refusal(const std::string& text) {
  try {
    load_config(write_file(text), kPaths);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "";
}

TEST(Config, DefaultsAreThePaperPreset) {
  const RunConfig config = from_overrides({});
  EXPECT_EQ(config.warmup.epochs, 10);
  EXPECT_EQ(config.mutual.epochs, 100);
  EXPECT_EQ(config.finetune.epochs, 150);
  EXPECT_EQ(config.finetune.learning_rate, 1e-4);
  EXPECT_EQ(config.loss.mr_scale, "half_per_distinct_id");
  EXPECT_EQ(config.loss.lambda_finetune, 1);
}

TEST(Config, PresetSetsDefaultsThatAnyExplicitKeyOverrules) {
  const RunConfig config = from_overrides({"--loss.item_order=random", "--loss.preset=release"});
  EXPECT_EQ(config.loss.item_order, "random");
  EXPECT_EQ(config.loss.mr_scale, "sum_all_positions");
  EXPECT_FALSE(config.loss.train_first_main_token);
}

TEST(Config, PresetsAreThoseOfTheSampler) {
  EXPECT_EQ(loss_options(from_overrides({}).loss), LossOptions::paper());
  EXPECT_EQ(loss_options(from_overrides({"--loss.preset=release"}).loss), LossOptions::release());
}

TEST(Config, TextsGetThePromptOfWhatTheyName) {
  const PromptsSection prompts;
  EXPECT_EQ(item_prompt(prompts, "title"), "The title of {item} is:");
}

TEST(Config, VariantsSetTheirDefaults) {
  const RunConfig cf = from_overrides({"--run.variant=llm-cf"});
  EXPECT_EQ(cf.warmup.epochs, 0);
  EXPECT_EQ(cf.loss.lambda_collaborative, 0);
  EXPECT_FALSE(cf.mutual.content_epochs);
  EXPECT_EQ(from_overrides({"--run.variant=llm-prerec"}).finetune.epochs, 0);
  EXPECT_EQ(from_overrides({"--run.variant=llm-fixord"}).loss.item_order, "ascending");
  EXPECT_TRUE(from_overrides({"--run.variant=llm-scratch"}).run.random_backbone);
}

TEST(Config, OverridesComeAfterTheFileAndInOrder) {
  const std::string path = write_file("[loss]\nlambda_content = 0.5\n[run]\ncorpus = 'x'\nbackbone = 'y'\n");
  const std::vector<std::string> overrides = {"--loss.lambda=0.1", "loss.lambda_finetune=0.2", "--run.dir=runs/a b"};
  const RunConfig config = load_config(path, overrides);
  EXPECT_EQ(config.loss.lambda_content, 0.1);
  EXPECT_EQ(config.loss.lambda_finetune, 0.2);
  EXPECT_EQ(config.run.dir, "runs/a b");
  EXPECT_EQ(config.run.corpus, "x");
}

TEST(Config, DeviceAndVerifyHaveShortNames) {
  const std::vector<std::string> overrides = {"--device=cuda", "--verify=quick"};
  const RunConfig config = load_config(write_file("[run]\ndir = 'd'\ncorpus = 'x'\nbackbone = 'y'\n"), overrides);
  EXPECT_EQ(config.run.device, "cuda");
  EXPECT_EQ(config.checkpoint.verify, "quick");
}

TEST(Config, LambdaInTheFileLeavesALaterSpecificOneAlone) {
  const std::string path = write_file("[loss]\nlambda = 0.5\nlambda_content = 2\n");
  const RunConfig config = load_config(path, kPaths);
  EXPECT_EQ(config.loss.lambda_collaborative, 0.5);
  EXPECT_EQ(config.loss.lambda_content, 2);
}

TEST(Config, UnknownKeyNamesTheLineAndTheNearestKey) {
  EXPECT_THAT(refusal("[run]\nseed = 1\n[loss]\ngroupsize = 20\n"),
              AllOf(HasSubstr("config_test.toml:4"), HasSubstr("loss.groupsize"),
                    HasSubstr("nearest known key is loss.group_size")));
}

TEST(Config, WrongTypeNamesTheLineTheValueAndWhatIsExpected) {
  EXPECT_THAT(refusal("[loss]\ngroup_size = 2.5\n"),
              AllOf(HasSubstr(":2: loss.group_size = 2.5"), HasSubstr("an integer")));
  EXPECT_THAT(refusal("[log]\njsonl = 'yes'\n"), HasSubstr("true or false"));
  EXPECT_THAT(refusal("[evaluation]\nrecall_k = [20, 'x']\n"), HasSubstr("a list of integers"));
  EXPECT_THAT(refusal("[run]\ndir = 3\n"), HasSubstr("a text in quotes"));
}

TEST(Config, ValueOutOfRangeNamesTheAllowedValues) {
  EXPECT_THAT(refusal("[run]\nprecision = 'fp16'\n"), HasSubstr("fp32 | bf16 | fp64"));
  EXPECT_THAT(refusal("[loss]\nmasking = 1.5\n"), HasSubstr("0 to 1"));
  EXPECT_THAT(refusal("[warmup]\nepochs = -1\n"), HasSubstr("0 to 1e+06"));
  EXPECT_THAT(refusal("[mutual]\nlearning_rate = nan\n"), HasSubstr("at least 0"));
  EXPECT_THAT(refusal("[mutual]\nlearning_rate = inf\n"), HasSubstr("a finite number"));
  EXPECT_THAT(refusal("[dropout]\nattention = 1\n"), HasSubstr("0 to 0.99"));
}

TEST(Config, BrokenTomlNamesTheLine) { EXPECT_THAT(refusal("[run]\nseed = \n"), HasSubstr("config_test.toml:2")); }

TEST(Config, MissingFileAndMissingPathsAreRefused) {
  EXPECT_THROW(load_config("/nonexistent/run.toml", {}), ConfigError);
  EXPECT_THROW(load_config("", {}), ConfigError);
}

TEST(Config, SelectionByAMetricThatIsNotComputedIsRefused) {
  EXPECT_THAT(refusal("[evaluation]\nrecall_k = [10]\n"),
              AllOf(HasSubstr("recall@20 is not computed"), HasSubstr("recall@10")));
}

TEST(Config, PrintedConfigurationReadsBackAsTheSame) {
  RunConfig config =
      from_overrides({"--loss.preset=release", "--loss.lambda_content=0.02", "--run.variant=llm-fixord",
                      "--dropout.residual=0.25", "--finetune.dropout.attention=0", "--evaluation.recall_k=[5,20,40]",
                      "--optimizer.epsilon=1e-12", "--prompts.review=a \"b\" \\ {user}:"});
  const std::string text = to_toml(config);
  EXPECT_EQ(to_toml(load_config(write_file(text), {})), text);
  EXPECT_EQ(config.prompts.review, "a \"b\" \\ {user}:");
}

TEST(Config, DigestChangesWithTheResultAndOnlyWithIt) {
  const std::string digest = config_digest(from_overrides({}));
  EXPECT_EQ(digest.size(), 16u);
  EXPECT_EQ(config_digest(from_overrides({"--run.dir=elsewhere", "--log.every_steps=1", "--checkpoint.keep=5"})),
            digest);
  EXPECT_NE(config_digest(from_overrides({"--run.seed=1"})), digest);
  EXPECT_NE(config_digest(from_overrides({"--finetune.dropout.residual=0.3"})), digest);
}

TEST(Config, HelpListsEveryKeyOnce) {
  const std::string help = config_help();
  EXPECT_THAT(help, AllOf(HasSubstr("[finetune.dropout]"), HasSubstr("group_size"), HasSubstr("half_per_distinct_id")));
  EXPECT_EQ(help.find("  lambda "), help.rfind("  lambda "));
}

TEST(Config, DropoutFallsBackFromStageToSectionToBackbone) {
  const RunConfig config =
      from_overrides({"--dropout.residual=0.2", "--dropout.attention=0.3", "--finetune.dropout.residual=0.5"});
  const DropoutRates rates =
      stage_dropout(config, config.finetune, {.embedding = 0.1, .attention = 0.1, .residual = 0.1});
  EXPECT_EQ(rates.embedding, 0.1);
  EXPECT_EQ(rates.attention, 0.3);
  EXPECT_EQ(rates.residual, 0.5);
}

TEST(Config, LearningRateDecaysOverTheStage) {
  StageSection stage{.learning_rate = 0.5};
  EXPECT_EQ(stage_learning_rate(stage, 9, 10), 0.5);
  stage.decay = "linear";
  EXPECT_DOUBLE_EQ(stage_learning_rate(stage, 5, 10), 0.25);
  stage.decay = "cosine";
  EXPECT_DOUBLE_EQ(stage_learning_rate(stage, 0, 10), 0.5);
  EXPECT_NEAR(stage_learning_rate(stage, 5, 10), 0.25, 1e-15);
}

}  // namespace
}  // namespace cllm
