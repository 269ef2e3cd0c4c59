#include "launch/config/tune_section.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "launch/failures/errors.h"

namespace cllm {
namespace {

namespace tune_sections {

using ::testing::HasSubstr;

std::string written(const std::string& text) {
  const std::string path = ::testing::TempDir() + "tune_section_test.toml";
  std::ofstream(path) << "[run]\ncorpus = \"c\"\n[model]\nname = \"sasrec\"\n" << text;
  return path;
}

TuneSection tune_of(const std::string& text, const std::vector<std::string>& overrides = {}) {
  const std::string path = written(text);
  return load_tune(path, overrides, load_config(path, overrides));
}

std::string refusal(const std::string& text, const std::vector<std::string>& overrides = {}) {
  try {
    tune_of(text, overrides);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "";
}

TEST(TuneSection, ListsAndRangesAreReadFromTheFileAndTheCommandLine) {
  const TuneSection tune = tune_of(
      "[tune]\ntrials = 7\nminutes = 1.5\n[tune.space]\nsasrec.width = [32, 64]\n"
      "sasrec.learning_rate = {min = 1e-4, max = 1e-2, log = true}\n",
      {"--tune.trials=8", "--tune.space.sasrec.dropout={min=0.1, max=0.5}",
       "--tune.space.sasrec.loss=[\"full\", \"bce\"]"});
  EXPECT_EQ(tune.trials, 8);
  EXPECT_EQ(tune.minutes, 1.5);
  ASSERT_EQ(tune.space.size(), 4u);
  EXPECT_EQ(tune.space[0].key, "sasrec.dropout");
  EXPECT_EQ(tune.space[0].max, 0.5);
  EXPECT_FALSE(tune.space[0].log);
  EXPECT_TRUE(tune.space[1].log);
  EXPECT_EQ(tune.space[1].min, 1e-4);
  EXPECT_EQ(tune.space[2].choices.size(), 2u);
  EXPECT_EQ(tune.space[3].choices, (std::vector<std::string>{"32", "64"}));
}

TEST(TuneSection, WithoutASpaceItIsTheModelsAndTrainPassesItOver) {
  const TuneSection tune = tune_of("[tune]\nseed = 3\n");
  EXPECT_EQ(tune.seed, 3);
  EXPECT_EQ(tune.space.size(), default_config("sasrec").options->search_space().size());
  EXPECT_EQ(config_digest(load_config(written("[tune]\ntrials = 3\n"), {})),
            config_digest(load_config(written(""), {})));
}

TEST(TuneSection, WrongOnesAreRefusedInOneLineThatNamesThePlace) {
  EXPECT_THAT(refusal("[tune]\ntrails = 3\n"),
              HasSubstr("unknown key tune.trails; the nearest known key is tune.trials"));
  EXPECT_THAT(refusal("[tune]\nfactor = 1\n"), HasSubstr("tune.factor = 1: expected a number in range (2 to 100)"));
  EXPECT_THAT(refusal("[tune.space]\nsasrec.with = [1, 2]\n"),
              HasSubstr("tune.space.sasrec.with: no key of this model; the nearest one is sasrec.width"));
  EXPECT_THAT(refusal("[tune.space]\nsasrec.width = 64\n"), HasSubstr("expected a list of values, or {min"));
  EXPECT_THAT(refusal("[tune.space]\nsasrec.width = []\n"), HasSubstr("expected a list of values, or {min"));
  EXPECT_THAT(refusal("[tune.space]\nsasrec.dropout = {min = 0.5, max = 0.1}\n"), HasSubstr("min must be below max"));
  EXPECT_THAT(refusal("[tune.space]\nsasrec.dropout = {min = 0.5}\n"), HasSubstr("expected a list of values, or {min"));
  EXPECT_THAT(refusal("[tune.space]\nsasrec.dropout = {min = 0, max = 0.5, log = true}\n"),
              HasSubstr("log = true needs min above 0"));
  EXPECT_THAT(refusal("[tune.space]\nsasrec.dropout = {min = 0.1, max = 1.5}\n"),
              HasSubstr("number in range (0 to 0.99)"));
  EXPECT_THAT(refusal("[tune.space]\nsasrec.loss = [\"bce\", \"bpr\"]\n"), HasSubstr("one of the names"));
  EXPECT_THAT(refusal("[tune.space]\nsasrec.loss = {min = 0, max = 1}\n"),
              HasSubstr("is no number: give a list of values"));
  EXPECT_THAT(refusal("[tune.space]\nrun.threads = [1, 2]\n"), HasSubstr("changes no result"));
  EXPECT_THAT(refusal("", {"--model.name=popularity"}), HasSubstr("has nothing that is searched by itself"));
}

}  // namespace tune_sections

}  // namespace
}  // namespace cllm
