// Every file of the corpora once through its parser, in the ordinary build: what a fuzzer once found stays mended.

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>

#include "tests/fuzzers/targets.h"

namespace cllm::fuzz {
namespace {

class Inputs : public ::testing::TestWithParam<Target> {};

TEST_P(Inputs, breaks_no_promise_of_its_parser) {
  const auto folder = std::filesystem::path(CLLM_SOURCE_DIR) / "tests/fuzzers/corpus" / GetParam().name;
  ASSERT_TRUE(std::filesystem::is_directory(folder)) << folder << ": every target needs seeds";
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  ASSERT_FALSE(files.empty());
  for (const auto& file : files) {
    std::ifstream in(file, std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(in), {}};
    EXPECT_NO_THROW(GetParam().run(bytes)) << file;
  }
}

INSTANTIATE_TEST_SUITE_P(Fuzz, Inputs, ::testing::ValuesIn(targets()),
                         [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace cllm::fuzz
