#include "launch/tune/draw.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>

#include "model/recommenders/registry.h"

namespace cllm {
namespace {

namespace draws {

std::map<std::string, std::string> by_key(const DrawnValues& values) { return {values.begin(), values.end()}; }

const std::vector<SearchKey> kSpace{{.key = "sasrec.dropout", .min = 0.1, .max = 0.5},
                                    {.key = "sasrec.learning_rate", .min = 1e-4, .max = 1e-2, .log = true},
                                    {.key = "sasrec.negatives", .min = 16, .max = 1024, .log = true},
                                    {.key = "sasrec.width", .choices = {"32", "64", "128"}}};

TEST(Draw, ValuesAreInTheirRangeOfTheirTypeAndTheSameEveryTime) {
  const RunConfig config = default_config("sasrec");
  std::set<std::string> widths;
  int low_rates = 0;
  for (int64_t trial = 1; trial <= 200; ++trial) {
    auto values = by_key(draw(kSpace, 3, trial, config));
    EXPECT_EQ(values, by_key(draw(kSpace, 3, trial, config)));
    EXPECT_GE(std::stod(values["sasrec.dropout"]), 0.1);
    EXPECT_LE(std::stod(values["sasrec.dropout"]), 0.5);
    const double rate = std::stod(values["sasrec.learning_rate"]);
    EXPECT_GE(rate, 1e-4);
    EXPECT_LE(rate, 1e-2);
    low_rates += rate < 1e-3 ? 1 : 0;
    EXPECT_EQ(values["sasrec.negatives"].find('.'), std::string::npos);  // a whole number
    widths.insert(values["sasrec.width"]);
    std::vector<std::string> overrides{"--model.name=sasrec", "--run.corpus=c"};
    for (const auto& [key, value] : values)
      overrides.push_back(std::string("--").append(key).append("=").append(value));
    EXPECT_NO_THROW(load_config("", overrides));
  }
  EXPECT_EQ(widths.size(), 3u);
  EXPECT_NEAR(low_rates, 100, 30);  // even over the logarithm: half of them, deviation 7
}

TEST(Draw, TheFirstTrialIsTheConfigurationItselfAndOthersDifferByTrialAndSeed) {
  const RunConfig config = default_config("sasrec");
  EXPECT_TRUE(draw(kSpace, 3, 0, config).empty());
  EXPECT_NE(draw(kSpace, 3, 1, config), draw(kSpace, 3, 2, config));
  EXPECT_NE(draw(kSpace, 3, 1, config), draw(kSpace, 4, 1, config));
}

TEST(Draw, AKeyMoreChangesNoOther) {
  const RunConfig config = default_config("sasrec");
  const auto few = by_key(draw(std::span(kSpace).first(2), 3, 7, config)), all = by_key(draw(kSpace, 3, 7, config));
  for (const auto& [key, value] : few) EXPECT_EQ(all.at(key), value);
}

TEST(Draw, EveryModelsOwnSpaceGivesConfigurationsThatLoad) {
  for (const Model& model : models()) {
    const RunConfig config = default_config(std::string(model.name));
    const std::vector<SearchKey> space = config.options->search_space();
    for (int64_t trial = 1; trial <= 20; ++trial) {
      std::vector<std::string> overrides{"--model.name=" + std::string(model.name), "--run.corpus=c"};
      if (model.name == "cllm4rec" || model.name == "titles") overrides.push_back("--run.backbone=b");
      for (const auto& [key, value] : draw(space, 0, trial, config))
        overrides.push_back(std::string("--").append(key).append("=").append(value));
      EXPECT_NO_THROW(load_config("", overrides)) << model.name;
    }
  }
}

}  // namespace draws

}  // namespace
}  // namespace cllm
