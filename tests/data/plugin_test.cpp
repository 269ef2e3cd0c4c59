#include "data/plugin.h"

#include <gtest/gtest.h>

namespace cllm {
namespace {

TEST(Plugin, that_is_not_there_is_no_problem_and_no_module) {
  std::string problem;
  EXPECT_EQ(open_plugin("cllm4rec_of_another_world.so", false, problem), nullptr);
  EXPECT_EQ(problem, "");
}

TEST(Plugin, that_cannot_be_opened_says_why) {
  std::string problem;
  EXPECT_EQ(open_plugin("data_tests", false, problem), nullptr) << "a program, not a module";
  EXPECT_NE(problem, "");
}

}  // namespace
}  // namespace cllm
