#include "launch/export/item_index.h"

#include <gmock/gmock.h>

#include "launch/failures/errors.h"

namespace cllm {
namespace {
namespace item_index_tests {

// The plug-in lies beside the program, not beside this test; with it, tests/integration/serving_test.cpp.
TEST(ItemIndex, is_refused_with_what_to_install_where_there_is_no_plug_in) {
  EXPECT_THAT(why_no_faiss(), ::testing::HasSubstr("install libfaiss-dev (launch/setup --with-faiss), build again"));
  const std::vector<float> rows(8);
  EXPECT_THROW(write_faiss_index("/tmp/never-written", IndexKind::kFlat, rows, 4), ConfigError);
  EXPECT_THROW(search_faiss_index("/tmp/never-written", rows, 4, 1), ConfigError);
}

}  // namespace item_index_tests
}  // namespace
}  // namespace cllm
