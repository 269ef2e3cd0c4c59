#include "dist/row_partition.h"

#include <gtest/gtest.h>

namespace cllm {
namespace {

TEST(RowPartition, BlocksCoverEveryRowOnceAndDifferByAtMostOne) {
  for (int world_size = 1; world_size <= 9; ++world_size) {
    for (int64_t num_rows = 0; num_rows <= 40; ++num_rows) {
      const RowPartition partition(num_rows, world_size);
      int64_t next = 0;
      for (int rank = 0; rank < world_size; ++rank) {
        EXPECT_EQ(partition.begin(rank), next);
        EXPECT_GE(partition.size(rank), num_rows / world_size);
        EXPECT_LE(partition.size(rank), (num_rows + world_size - 1) / world_size);
        next = partition.end(rank);
      }
      EXPECT_EQ(next, num_rows);
    }
  }
}

TEST(RowPartition, OwnerIsTheRankWhoseBlockHoldsTheRow) {
  for (int world_size = 1; world_size <= 9; ++world_size) {
    for (const int64_t num_rows : {1, 2, 3, 7, 8, 9, 100, 1001}) {
      const RowPartition partition(num_rows, world_size);
      for (int64_t row = 0; row < num_rows; ++row) {
        const int owner = partition.owner(row);
        EXPECT_TRUE(partition.begin(owner) <= row && row < partition.end(owner))
            << row << " of " << num_rows << ", R " << world_size;
      }
    }
  }
}

TEST(RowPartition, LargestSizesDoNotOverflow) {
  const RowPartition partition(2000000000, 1024);
  for (const int64_t row : {int64_t{0}, int64_t{1999999999}, partition.begin(512), partition.begin(512) - 1}) {
    const int owner = partition.owner(row);
    EXPECT_TRUE(partition.begin(owner) <= row && row < partition.end(owner)) << row;
  }
}

}  // namespace
}  // namespace cllm
