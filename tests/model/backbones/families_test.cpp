#include "model/backbones/families.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "model/errors.h"

namespace cllm {
namespace {

class Families : public ::testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(dir_); }
  void TearDown() override { std::filesystem::remove_all(dir_); }
  ConfigJson config(const std::string& text) const {
    std::ofstream(dir_ / "config.json") << text;
    return ConfigJson(dir_);
  }

  std::filesystem::path dir_ = std::filesystem::temp_directory_path() / ("families_test." + std::to_string(::getpid()));
};

TEST_F(Families, AreChosenByTheModelType) {
  EXPECT_STREQ(family_of(config(R"({"model_type": "gpt2"})")).model_type, "gpt2");
}

TEST_F(Families, UnknownModelTypeIsRefusedWithTheNamesOfTheKnown) {
  for (const char* text : {R"({"model_type": "mamba"})", R"({"model_type": ""})", R"({})"}) {
    try {
      family_of(config(text));
      ADD_FAILURE() << "accepted " << text;
    } catch (const ModelError& error) {
      EXPECT_THAT(error.what(), ::testing::HasSubstr("config.json: model_type is "));
      EXPECT_THAT(error.what(), ::testing::HasSubstr("one of the known model types: gpt2"));
    }
  }
}

}  // namespace
}  // namespace cllm
