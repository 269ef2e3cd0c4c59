#include "model/tables/text_rows.h"

#include <gtest/gtest.h>

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include "tests/model/tensors.h"

namespace cllm {
namespace {

namespace text_rows {

using testing::gap;
using testing::normal;

constexpr int64_t kUsers = 2, kItems = 5, kDims = 3, kWidth = 4;

/// Users have no text, items have.
struct Fixture {
  Table table = make_table(RowLayout(kUsers, kItems, 0, 1), normal({kUsers, kWidth}, 1), normal({kItems, kWidth}, 2));
  at::Tensor map_dD = normal({kDims, kWidth}, 3).requires_grad_(true);
  at::Tensor vectors_Vd;
  explicit Fixture() {
    vectors_Vd = normal({kUsers + kItems, kDims}, 4);
    vectors_Vd.narrow(0, 0, kUsers).zero_();
  }
  TextRows rows(double bound) const {
    Table vectors;
    vectors.layout = table.layout;
    vectors.weight = vectors_Vd;
    return {vectors, map_dD, bound};
  }
  at::Tensor formula() const { return table.weight + at::mm(vectors_Vd, map_dD.detach()); }
};

TEST(TextRows, ARowIsItsOwnPartAndTheMapOfItsText) {
  Fixture f;
  const TextRows rows = f.rows(0.5);
  rows.compose(f.table);
  EXPECT_LT(gap(f.table.rows(), f.formula()), 1e-14);
  EXPECT_LT(gap(f.table.items(), f.formula().narrow(0, kUsers, kItems)), 1e-14);
  f.table.weight.add_(1);
  const at::Tensor before = f.table.composed.clone();
  rows.compose(f.table, at::tensor({1, 4}, at::kLong));
  EXPECT_LT(gap(f.table.composed[4], f.formula()[4]), 1e-14);
  EXPECT_LT(gap(f.table.composed[3], before[3]), 1e-14);
  rows.compose_items(f.table);
  EXPECT_LT(gap(f.table.items(), f.formula().narrow(0, kUsers, kItems)), 1e-14);
}

TEST(TextRows, TheGradientOfTheMapIsThatOfAllPartsOfTheRows) {
  Fixture f;
  TextRows rows = f.rows(0.5);
  // Row 0 has two parts, row 3 one; all items have one of the head.
  const at::Tensor parts_PD = normal({3, kWidth}, 5), head_ID = normal({kItems, kWidth}, 6);
  const at::Tensor of_part = at::tensor({1, 0, 0}, at::kLong);  // places among rows_M
  kernels::RowGradient gradient{.rows_M = at::tensor({0, 2, 3, 4, 5, 6}, at::kLong),
                                .parts_PD = parts_PD,
                                .segments = kernels::group_by_row(of_part, 6),
                                .head_ID = head_ID};
  rows.add_gradient(gradient);
  at::Tensor of_rows = at::zeros({kUsers + kItems, kWidth}, at::kDouble);
  of_rows[2] += parts_PD[0];
  of_rows[0] += parts_PD[1] + parts_PD[2];
  of_rows.narrow(0, kUsers, kItems) += head_ID;
  const at::Tensor want = at::mm(f.vectors_Vd.t(), of_rows);
  EXPECT_LT(gap(f.map_dD.grad(), want), 1e-13);
  rows.add_gradient({.rows_M = at::tensor({3, 6}, at::kLong), .parts_PD = normal({2, kWidth}, 7)});
  const at::Tensor more =
      at::mm(f.vectors_Vd.index_select(0, at::tensor({3, 6}, at::kLong)).t(), normal({2, kWidth}, 7));
  EXPECT_LT(gap(f.map_dD.grad(), want + more), 1e-13);
}

TEST(TextRows, OwnPartsOfRowsWithATextStayWithinTheBound) {
  Fixture f;
  const at::Tensor before = f.table.weight.clone();
  f.rows(0.5).keep_within_bound(f.table, at::tensor({0, 2, 3}, at::kLong));
  const auto length = [&](int64_t row) { return at::linalg_vector_norm(f.table.weight[row]).item<double>(); };
  EXPECT_LT(gap(f.table.weight[0], before[0]), 1e-15) << "no text, no bound";
  EXPECT_NEAR(length(2), 0.5, 1e-12);
  EXPECT_LT(gap(f.table.weight[2] * (at::linalg_vector_norm(before[2]) / 0.5), before[2]), 1e-12);
  EXPECT_LT(gap(f.table.weight[5], before[5]), 1e-15) << "not among the rows";
  f.rows(100).keep_within_bound(f.table, at::tensor({4}, at::kLong));
  EXPECT_LT(gap(f.table.weight[4], before[4]), 1e-15);
  f.rows(0).keep_within_bound(f.table, at::tensor({4}, at::kLong));
  EXPECT_EQ(length(4), 0);
}

}  // namespace text_rows
}  // namespace
}  // namespace cllm
