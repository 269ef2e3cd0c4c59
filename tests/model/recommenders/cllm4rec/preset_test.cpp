#include "model/recommenders/cllm4rec/preset.h"

#include <gmock/gmock.h>

#include <stdexcept>

#include "tests/data/text/shared_files.h"

namespace cllm {
namespace {

using ::testing::HasSubstr;

LossOptions from_fields(const nlohmann::json& fields) {
  LossOptions options;
  for (const auto& [name, value] : fields.items()) {
    if (name == "name") continue;
    options.set(name, value.is_boolean() ? (value ? "true" : "false") : value.get<std::string>());
  }
  return options;
}

TEST(LossOptions, PresetsAreThoseOfTheReference) {
  const nlohmann::json presets = testing::shared_json("golden/cllm4rec/index.json").at("presets");
  EXPECT_EQ(from_fields(presets.at("paper")), LossOptions::paper());
  EXPECT_EQ(from_fields(presets.at("release")), LossOptions::release());
  EXPECT_EQ(presets.at("paper").size(), 11u);  // name and ten fields: none is unknown here
}

TEST(LossOptions, APresetCanBeChangedFieldByField) {
  LossOptions expected = LossOptions::paper();
  expected.lm_reduction = LmReduction::kTokenSum;
  expected.train_first_main_token = false;
  EXPECT_EQ(parse_preset("paper+lm_reduction=token_sum+train_first_main_token=False"), expected);
  EXPECT_EQ(parse_preset("release"), LossOptions::release());
}

TEST(LossOptions, WrongNamesAndValuesAreNamedWithTheAllowedOnes) {
  const std::pair<const char*, const char*> cases[] = {
      {"papre", "known are paper, release"},
      {"paper+lm_reduktion=token_sum", "unknown loss option 'lm_reduktion'"},
      {"paper+lm_reduction=mean", "allowed are token_mean, token_sum"},
      {"paper+lm_reduction", "write field=value"}};
  for (const auto& [text, message] : cases) {
    try {
      parse_preset(text);
      ADD_FAILURE() << text << " was accepted";
    } catch (const std::invalid_argument& error) {
      EXPECT_THAT(error.what(), HasSubstr(message));
    }
  }
}

}  // namespace
}  // namespace cllm
