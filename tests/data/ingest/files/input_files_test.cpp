#include "data/ingest/files/input_files.h"

#include <gmock/gmock.h>

#include "tests/data/ingest/scratch.h"

namespace cllm::testing {
namespace {

using ::testing::ElementsAre;

TEST(InputFiles, numbers_in_names_count_by_their_size) {
  const Scratch scratch;
  for (const char* name : {"part-10.parquet", "part-2.parquet", "part-1.parquet", "part-02.parquet"})
    scratch.write(name, "");
  std::vector<std::string> names;
  for (const auto& part : parquet_parts(scratch.in())) names.push_back(part.filename());
  EXPECT_THAT(names, ElementsAre("part-1.parquet", "part-02.parquet", "part-2.parquet", "part-10.parquet"));
  EXPECT_TRUE(comes_before("day=9/part-0", "day=10/part-0"));
  EXPECT_TRUE(comes_before("a/z", "a-b/c"));
  EXPECT_TRUE(comes_before("a", "a1"));
  EXPECT_FALSE(comes_before("a1", "a1"));
  EXPECT_TRUE(comes_before("99999999999999999999998", "99999999999999999999999"));
}

}  // namespace
}  // namespace cllm::testing
