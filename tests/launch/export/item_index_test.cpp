#include "launch/export/item_index.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include "launch/failures/errors.h"

namespace cllm {
namespace {
namespace item_index_tests {

namespace fs = std::filesystem;

TEST(ItemIndex, finds_the_rows_with_the_largest_products_or_is_refused_with_what_to_install) {
  const std::vector<float> rows{1, 0, 0, 1, 3, 0, -1, 0}, queries{1, 0, 0, 2};
  const fs::path file = fs::temp_directory_path() / ("cllm_items_" + std::to_string(getpid()) + ".faiss");
  if (!why_no_faiss().empty()) {
    EXPECT_THAT(why_no_faiss(), ::testing::HasSubstr("install libfaiss-dev (launch/setup --with-faiss), build again"));
    EXPECT_THROW(write_faiss_index(file, IndexKind::kFlat, rows, 2), ConfigError);
    EXPECT_THROW(search_faiss_index(file, queries, 2, 1), ConfigError);
    return;
  }
  for (const IndexKind kind : {IndexKind::kFlat, IndexKind::kHnsw}) {
    write_faiss_index(file, kind, rows, 2);
    EXPECT_EQ(search_faiss_index(file, queries, 2, 1), (std::vector<int64_t>{2, 1}));
    EXPECT_THROW(search_faiss_index(file, queries, 4, 1), ConfigError) << "rows of another width";
  }
  fs::remove(file);
  EXPECT_THROW(search_faiss_index(file, queries, 2, 1), ConfigError);
}

}  // namespace item_index_tests
}  // namespace
}  // namespace cllm
