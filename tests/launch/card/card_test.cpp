#include "launch/card/card.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

namespace cllm {
namespace {
namespace card_tests {

using ::testing::HasSubstr;
using ::testing::Not;
namespace fs = std::filesystem;

TEST(Card, says_the_licence_that_the_folder_of_a_backbone_states_or_that_it_states_none) {
  const fs::path dir = fs::temp_directory_path() / ("cllm_card_" + std::to_string(getpid()));
  fs::remove_all(dir);
  fs::create_directories(dir);
  EXPECT_THAT(licence_of(dir), HasSubstr("not stated"));
  std::ofstream(dir / "LICENSE") << "\n   Apache License\n Version 2.0\n";
  EXPECT_EQ(licence_of(dir), "Apache License (LICENSE)");
  std::ofstream(dir / "README.md") << "---\nlanguage: en\nlicense: mit\n---\n# a model\nlicense: of a sentence\n";
  EXPECT_EQ(licence_of(dir), "mit");
  std::ofstream(dir / "README.md") << "# a model\nlicense: of a sentence\n";
  EXPECT_EQ(licence_of(dir), "Apache License (LICENSE)");
  fs::remove_all(dir);
}

TEST(Card, is_a_table_with_intervals_beside_the_baselines) {
  nlohmann::ordered_json card{
      {"model", "sasrec"},
      {"program", {{"version", "1"}, {"commit", "abc"}}},
      {"data", {{"users", 12}, {"split", "time"}}},
      {"training", {{"seed", 3}}},
      {"sizes", {{"all trained", 100}}},
      {"protocol", "part test"},
      {"test", {{"recall@20", {{"value", 0.25}, {"95 %", {0.2, 0.3}}}}, {"coverage@20", {{"value", 0.5}}}}},
      {"baselines", {{"popularity", {{"recall@20", 0.125}}}, {"ease", "not run: too large"}}}};
  const std::string text = readme_of(card);
  EXPECT_THAT(text, HasSubstr("| recall@20 | 0.2500 | 0.2000 to 0.3000 | 0.1250 | not run |"));
  EXPECT_THAT(text, HasSubstr("| coverage@20 | 0.5000 |  | not run | not run |"));
  EXPECT_THAT(text, HasSubstr("* split: time\n"));
  EXPECT_THAT(text, Not(HasSubstr("Backbone")));
}

}  // namespace card_tests
}  // namespace
}  // namespace cllm
