#include "launch/output/baselines.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "data/errors.h"
#include "launch/output/append_file.h"

namespace cllm {
namespace {

class BaselinesFile : public ::testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(dir_); }
  void TearDown() override { std::filesystem::remove_all(dir_); }
  void write(const std::string& text) const { write_whole_file(dir_ + "/baselines.json", text); }

  std::string dir_ = ::testing::TempDir() + "baselines_test";
};

TEST_F(BaselinesFile, GivesBackValuesAndReasons) {
  write_baselines(dir_, {{"popularity", {.values = {{"recall@20", 0.25}, {"ndcg@100", 0.5}}}},
                         {"ease", {.not_run = "ease: 9 items need \"more\""}}});
  const Baselines read = read_baselines(dir_);
  ASSERT_EQ(read.size(), 2u);
  EXPECT_EQ(read.at("popularity").values, (MetricValues{{"recall@20", 0.25}, {"ndcg@100", 0.5}}));
  EXPECT_EQ(read.at("popularity").not_run, "");
  EXPECT_TRUE(read.at("ease").values.empty());
  EXPECT_EQ(read.at("ease").not_run, "ease: 9 items need \"more\"");
}

TEST_F(BaselinesFile, NoneIsAnEmptyListAndAnythingElseIsRefused) {
  EXPECT_TRUE(read_baselines(dir_ + "/nowhere").empty());
  write_baselines(dir_, {});
  EXPECT_TRUE(read_baselines(dir_).empty());
  for (const char* damaged : {"[1]", "{\"popularity\": 3}", "{\"popularity\": {\"recall@20\": \"high\"}}", "{"}) {
    write(damaged);
    EXPECT_THROW(read_baselines(dir_), DataError) << damaged;
  }
}

}  // namespace
}  // namespace cllm
