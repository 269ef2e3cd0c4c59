#include "dist/rows/row_layout.h"

#include <gtest/gtest.h>

namespace cllm {
namespace {

TEST(RowLayout, LocalAndGlobalRowsAreInverseAndEveryRowHasOneOwner) {
  for (const int world_size : {1, 2, 3, 4, 7}) {
    for (const int64_t num_users : {0, 1, 3, 10, 23}) {
      for (const int64_t num_items : {0, 1, 5, 17}) {
        int64_t covered = 0;
        for (int rank = 0; rank < world_size; ++rank) {
          const RowLayout layout(num_users, num_items, rank, world_size);
          covered += layout.num_local_rows();
          for (int64_t local = 0; local < layout.num_local_rows(); ++local) {
            EXPECT_EQ(layout.owner(layout.global(local)), rank);
            EXPECT_EQ(layout.local(layout.global(local)), local);
          }
        }
        EXPECT_EQ(covered, num_users + num_items);
      }
    }
  }
}

TEST(RowLayout, NamedGroupsFollowOneAnotherInGlobalAndInLocalRows) {
  for (const int world_size : {1, 2, 3, 7}) {
    for (const int64_t middle : {0, 1, 4, 9}) {
      int64_t covered = 0;
      for (int rank = 0; rank < world_size; ++rank) {
        const RowLayout layout({{"user", 5}, {"code", middle}, {"item", 8}}, rank, world_size);
        EXPECT_EQ(layout.num_rows(), 13 + middle);
        EXPECT_EQ(layout.group("item").first_row, 5 + middle);
        EXPECT_EQ(layout.group("code").num_local, RowPartition(middle, world_size).size(rank));
        int64_t local = 0;
        for (const RowGroup& group : layout.groups()) {
          EXPECT_EQ(group.first_local, local);
          for (int64_t n = 0; n < group.num_local; ++n, ++local) {
            const int64_t row = group.first_row + group.partition.begin(rank) + n;
            EXPECT_EQ(layout.global(local), row) << group.name;
            EXPECT_EQ(layout.local(row), local) << group.name;
            EXPECT_EQ(layout.owner(row), rank) << group.name;
            EXPECT_EQ(local + group.shift(rank), row) << group.name;
          }
        }
        EXPECT_EQ(local, layout.num_local_rows());
        covered += local;
      }
      EXPECT_EQ(covered, 13 + middle);
    }
  }
  EXPECT_THROW(RowLayout(1, 2, 0, 1).group("code"), std::out_of_range);
}

}  // namespace
}  // namespace cllm
