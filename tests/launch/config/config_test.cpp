#include "launch/config/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "launch/failures/errors.h"
#include "model/recommenders/cllm4rec/options.h"

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

Cllm4recOptions& cllm4rec_of(const RunConfig& config) { return dynamic_cast<Cllm4recOptions&>(*config.options); }

/// The message of the ConfigError that loading this text throws; "" if it loads.
std::string refusal(const std::string& text, const std::vector<std::string>& overrides = kPaths) {
  try {
    load_config(write_file(text), overrides);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "";
}

TEST(Config, DefaultsAreThePaperPreset) {
  const RunConfig config = from_overrides({});
  const Cllm4recOptions& options = cllm4rec_of(config);
  EXPECT_EQ(config.model, "cllm4rec");
  EXPECT_EQ(options.warmup.epochs, 10);
  EXPECT_EQ(options.mutual.epochs, 100);
  EXPECT_EQ(options.finetune.epochs, 150);
  EXPECT_EQ(options.finetune.learning_rate, 1e-4);
  EXPECT_EQ(options.loss, LossOptions::paper());
  EXPECT_EQ(options.lambda_finetune, 1);
}

TEST(Config, PresetSetsDefaultsThatAnyExplicitKeyOverrules) {
  LossOptions expected = LossOptions::release();
  EXPECT_EQ(cllm4rec_of(from_overrides({"--loss.preset=release"})).loss, expected);
  expected.item_order = ItemOrder::kRandom;
  EXPECT_EQ(cllm4rec_of(from_overrides({"--loss.item_order=random", "--loss.preset=release"})).loss, expected);
}

TEST(Config, VariantsSetTheirDefaults) {
  const RunConfig config = from_overrides({"--run.variant=llm-cf"});
  const Cllm4recOptions& cf = cllm4rec_of(config);
  EXPECT_EQ(cf.warmup.epochs, 0);
  EXPECT_EQ(cf.lambda_collaborative, 0);
  EXPECT_FALSE(cf.mutual.content_epochs);
  EXPECT_EQ(cllm4rec_of(from_overrides({"--run.variant=llm-prerec"})).finetune.epochs, 0);
  EXPECT_EQ(cllm4rec_of(from_overrides({"--run.variant=llm-fixord"})).loss.item_order, ItemOrder::kAscending);
  EXPECT_TRUE(cllm4rec_of(from_overrides({"--run.variant=llm-scratch"})).random_backbone);
}

TEST(Config, OverridesComeAfterTheFileAndInOrder) {
  const std::string path = write_file("[loss]\nlambda_content = 0.5\n[run]\ncorpus = 'x'\nbackbone = 'y'\n");
  const std::vector<std::string> overrides = {"--loss.lambda=0.1", "loss.lambda_finetune=0.2", "--run.dir=runs/a b"};
  const RunConfig config = load_config(path, overrides);
  EXPECT_EQ(cllm4rec_of(config).lambda_content, 0.1);
  EXPECT_EQ(cllm4rec_of(config).lambda_finetune, 0.2);
  EXPECT_EQ(config.run.dir, "runs/a b");
  EXPECT_EQ(config.run.corpus, "x");
}

TEST(Config, DeviceAndVerifyHaveShortNames) {
  const std::vector<std::string> overrides = {"--device=cuda", "--verify=quick"};
  const RunConfig config = load_config(write_file("[run]\ndir = 'd'\ncorpus = 'x'\nbackbone = 'y'\n"), overrides);
  EXPECT_EQ(config.run.device, "cuda");
  EXPECT_EQ(config.checkpoint.verify, "quick");
}

TEST(Config, AKeyOfTextTakesWhatShellsWriteForNumbersAndFlags) {
  for (const char* text : {"2024", "true", "1.5", "2018-07-07", "runs/a"})
    EXPECT_EQ(from_overrides({std::string("--run.dir=") + text}).run.dir, text);
  EXPECT_EQ(from_overrides({"--run.dir=\"2024\""}).run.dir, "2024");
  EXPECT_THROW(from_overrides({"--run.dir=[1]"}), ConfigError);
}

TEST(Config, LambdaInTheFileLeavesALaterSpecificOneAlone) {
  const std::string path = write_file("[loss]\nlambda = 0.5\nlambda_content = 2\n");
  const RunConfig config = load_config(path, kPaths);
  EXPECT_EQ(cllm4rec_of(config).lambda_collaborative, 0.5);
  EXPECT_EQ(cllm4rec_of(config).lambda_content, 2);
}

TEST(Config, UnknownKeyNamesTheLineAndTheNearestKey) {
  EXPECT_THAT(refusal("[run]\nseed = 1\n[loss]\ngroupsize = 20\n"),
              AllOf(HasSubstr("config_test.toml:4"), HasSubstr("loss.groupsize"),
                    HasSubstr("nearest known key is loss.group_size")));
}

TEST(Config, AKeyOfAnotherModelNamesThatModel) {
  EXPECT_THAT(refusal("[language_model]\nwidth = 8\n"),
              AllOf(HasSubstr("config_test.toml:2: unknown key language_model.width"),
                    HasSubstr("it belongs to model.name = \"language_model\"")));
  EXPECT_THAT(refusal("[model]\nname = 'language_model'\n[warmup]\nepochs = 1\n"),
              HasSubstr("it belongs to model.name = \"cllm4rec\""));
}

TEST(Config, AnUnknownModelNamesTheLineAndTheModels) {
  EXPECT_THAT(refusal("[model]\nname = 'gpt'\n"),
              AllOf(HasSubstr("config_test.toml:2: model.name = 'gpt'"), HasSubstr("cllm4rec | language_model")));
}

TEST(Config, TheModelIsReadBeforeItsKeys) {
  const std::vector<std::string> overrides = {"--language_model.width=64", "--run.corpus=c",
                                              "--model.name=language_model"};
  const RunConfig config = load_config("", overrides);
  EXPECT_THAT(to_toml(config), AllOf(HasSubstr("[model]\nname = 'language_model'"), HasSubstr("width = 64")));
  EXPECT_EQ(to_toml(load_config(write_file(to_toml(config)), {})), to_toml(config));
}

TEST(Config, EverySectionIsPrintedOnce) {
  const std::string text = to_toml(from_overrides({"--dropout.residual=0.25", "--finetune.dropout.attention=0"}));
  for (const char* section : {"[run]", "[model]", "[loss]", "[optimizer]", "[init]", "[finetune]", "[evaluation]"}) {
    ASSERT_NE(text.find(section), std::string::npos) << section;
    EXPECT_EQ(text.find(section), text.rfind(section)) << section;
  }
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
  EXPECT_EQ(cllm4rec_of(config).prompts.review, "a \"b\" \\ {user}:");
}

TEST(Config, DigestChangesWithTheResultAndOnlyWithIt) {
  const std::string digest = config_digest(from_overrides({}));
  EXPECT_EQ(digest.size(), 16u);
  EXPECT_EQ(config_digest(from_overrides({"--run.dir=elsewhere", "--log.every_steps=1", "--checkpoint.keep=5"})),
            digest);
  EXPECT_NE(config_digest(from_overrides({"--run.seed=1"})), digest);
  EXPECT_NE(config_digest(from_overrides({"--finetune.dropout.residual=0.3"})), digest);
}

/// A digest stands in every checkpoint: a run must go on under a newer version of the program. Values of b6a38ec.
TEST(Config, DigestsOfConfigurationsOfBeforeModelsOwnedTheirKeysStay) {
  const std::string folder = CLLM_SOURCE_DIR "/launch/configs/";
  const std::pair<const char*, const char*> files[] = {{"amazon_beauty.toml", "168463b99bbac566"},
                                                       {"demo.toml", "ba8ba3b43a5aa358"},
                                                       {"google_xrec_profiles.toml", "105ff7cadbfe3e8f"},
                                                       {"ml_latest_small_5core.toml", "e7c8a166e30385a1"},
                                                       {"ml_latest_small_5core_release.toml", "b39a68ca9d0154ff"}};
  for (const auto& [file, digest] : files) EXPECT_EQ(config_digest(load_config(folder + file, kPaths)), digest) << file;
  EXPECT_EQ(config_digest(from_overrides({})), "2d06800538d394c2");
  EXPECT_EQ(config_digest(from_overrides({"--run.variant=llm-cf"})), "592ac926b9aaf633");
  EXPECT_EQ(config_digest(from_overrides({"--run.variant=llm-ftall"})), "837e87bcf513436f");
  // Keys of every section at once: their order counts.
  EXPECT_EQ(config_digest(from_overrides({"--run.variant=llm-scratch",
                                          "--loss.preset=release",
                                          "--run.seed=7",
                                          "--run.precision=bf16",
                                          "--run.table_precision=bf16",
                                          "--loss.lambda=0.1",
                                          "--loss.masking=0.3",
                                          "--loss.item_dropout=0.1",
                                          "--loss.group_size=8",
                                          "--batch.groups=2",
                                          "--batch.max_items=9",
                                          "--batch.max_text_tokens=11",
                                          "--optimizer.name=sgd",
                                          "--optimizer.beta1=0.8",
                                          "--optimizer.beta2=0.99",
                                          "--optimizer.epsilon=1e-6",
                                          "--optimizer.backbone_scale=0.5",
                                          "--optimizer.item_softmax=sampled",
                                          "--optimizer.negatives=64",
                                          "--init.tables=text_mean",
                                          "--init.std=0.1",
                                          "--init.run=runs/a",
                                          "--dropout.embedding=0.1",
                                          "--dropout.attention=0.2",
                                          "--dropout.residual=0.3",
                                          "--warmup.epochs=1",
                                          "--warmup.learning_rate=0.1",
                                          "--warmup.decay=linear",
                                          "--warmup.dropout.embedding=0.05",
                                          "--mutual.epochs=2",
                                          "--mutual.decay=cosine",
                                          "--mutual.schedule=interleave",
                                          "--mutual.content_epochs=false",
                                          "--mutual.dropout.attention=0.5",
                                          "--finetune.epochs=3",
                                          "--finetune.content_epochs=false",
                                          "--finetune.select=recall@5",
                                          "--finetune.patience=4",
                                          "--finetune.dropout.residual=0.6",
                                          "--prompts.review={user}: {item}",
                                          "--prompts.item_content={item} {kind}",
                                          "--evaluation.recall_k=[5]",
                                          "--evaluation.ndcg_k=[10]",
                                          "--evaluation.every_epochs=2"})),
            "fa3fb5298ac8b65e");
}

TEST(Config, AStateThatIsChosenByMetricsThatAreNotComputedIsRefusedByTheKeyOfItsModel) {
  EXPECT_THAT(
      refusal("[evaluation]\nmetrics = ['hit@10']\n"),
      HasSubstr("finetune.select = \"recall@20+recall@40+ndcg@100\": recall@20 is not computed; [evaluation] gives"));
  const std::vector<std::string> folders{"--run.corpus=corpus", "--run.dir=run"};  // sasrec has no backbone
  EXPECT_THAT(
      refusal("[model]\nname = 'sasrec'\n[evaluation]\nmetrics = ['hit@10']\n", folders),
      HasSubstr("evaluation.select is not set, and sasrec chooses by \"recall@20+recall@40+ndcg@100\": recall@20 "));
  EXPECT_THAT(refusal("[model]\nname = 'sasrec'\n[evaluation]\nmetrics = ['hit@10']\nselect = 'mrr@10'\n", folders),
              HasSubstr("evaluation.select = \"mrr@10\": mrr@10 is not computed; [evaluation] gives hit@10"));
}

TEST(Config, AValueIsAskedForByItsKeyAndComesWithoutQuotes) {
  const RunConfig config = from_overrides({"--optimizer.name=sgd", "--run.train_backbone=true"});
  EXPECT_EQ(value_of(config, "optimizer.name"), "sgd");
  EXPECT_EQ(value_of(config, "loss.mr_scale"), "half_per_distinct_id");
  EXPECT_EQ(value_of(config, "run.train_backbone"), "true");
  EXPECT_THROW(value_of(config, "language_model.width"), ConfigError);
}

TEST(Config, HelpListsEveryKeyOnce) {
  const std::string help = config_help();
  EXPECT_THAT(help, AllOf(HasSubstr("[finetune.dropout]"), HasSubstr("half_per_distinct_id"), HasSubstr("[ease]")));
  std::multiset<std::string> keys;
  std::string section;
  std::istringstream lines(help);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("[")) section = line;
    if (line.starts_with("  ")) keys.insert(section + " " + line.substr(2, line.find(' ', 2) - 2));
  }
  for (const std::string& key : keys) EXPECT_EQ(keys.count(key), 1u) << key;
  EXPECT_EQ(keys.count("[loss] lambda"), 1u);
  EXPECT_EQ(keys.count("[loss] group_size"), 1u);
}

}  // namespace
}  // namespace cllm
