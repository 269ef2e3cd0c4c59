#include "model/tables/table.h"

#include <gtest/gtest.h>

#include <ATen/TensorOperators.h>
#include <ATen/ops/equal.h>

namespace cllm {
namespace {

TEST(Tables, StartTheSameForAnyWorldSize) {
  const Table whole = make_random_table(RowLayout(7, 5, 0, 1), 6, at::kDouble, 11, Side::kContent);
  for (const int world_size : {2, 3, 13}) {
    for (int rank = 0; rank < world_size; ++rank) {
      const Table part = make_random_table(RowLayout(7, 5, rank, world_size), 6, at::kDouble, 11, Side::kContent);
      for (int64_t local = 0; local < part.layout.num_local_rows(); ++local) {
        EXPECT_TRUE(at::equal(part.weight[local], whole.weight[part.layout.global(local)]))
            << world_size << " ranks, rank " << rank;
      }
    }
  }
  const Table other_side = make_random_table(RowLayout(7, 5, 0, 1), 6, at::kDouble, 11, Side::kCollaborative);
  EXPECT_FALSE(at::equal(other_side.weight, whole.weight));
}

TEST(Tables, StartWithTheDeviationOfThePaper) {
  const Table table = make_random_table(RowLayout(2000, 500, 0, 1), 16, at::kFloat, 1, Side::kCollaborative);
  EXPECT_NEAR(table.weight.std().item<double>(), 0.02, 2e-4);
  EXPECT_NEAR(table.weight.mean().item<double>(), 0, 4e-4);
}

}  // namespace
}  // namespace cllm
