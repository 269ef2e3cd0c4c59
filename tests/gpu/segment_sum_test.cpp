#include <ATen/ops/empty.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/zeros.h>

#include <gtest/gtest.h>

#include "model/kernels/rows/cuda.h"
#include "model/kernels/softmax/cuda.h"
#include "tests/gpu/test_device.h"

namespace cllm {
namespace {

using namespace test;
namespace device = kernels::cuda;

at::Tensor reference(const at::Tensor& values_TD, const at::Tensor& row_of_T, int64_t num_rows) {
  return at::zeros({num_rows, values_TD.size(1)}, at::kDouble).index_add_(0, row_of_T, values_TD.to(at::kDouble));
}

TEST(SegmentSumOnDevice, AddsTheContributionsOfEveryRow) {
  for (const at::ScalarType dtype : {at::kFloat, at::kDouble}) {
    for (const auto& [num_values, num_rows, width] :
         {std::tuple{0, 0, 8}, {0, 5, 8}, {1, 1, 24}, {777, 100, 40}, {3000, 7, 768}}) {
      const at::Tensor values = random({num_values, width}, dtype);
      const at::Tensor row_of = num_values ? at::randint(num_rows, {num_values}, at::kLong) : at::empty({0}, at::kLong);
      const at::Tensor got = device::segment_sum(to_device(values), kernels::group_by_row(to_device(row_of), num_rows));
      EXPECT_LT(relative_error(got, reference(values, row_of, num_rows)), dtype == at::kFloat ? 1e-6 : 1e-14)
          << num_values;
    }
  }
}

TEST(SegmentSumOnDevice, AddsAShortRowInTheOrderOfItsContributions) {
  const at::Tensor values = random({200, 8}), row_of = at::zeros({200}, at::kLong);
  at::Tensor in_order = at::zeros({1, 8});
  for (int64_t t = 0; t < 200; ++t) in_order[0] += values[t];
  EXPECT_TRUE(same_bits(device::segment_sum(to_device(values), kernels::group_by_row(to_device(row_of), 1)), in_order));
}

TEST(SegmentSumOnDevice, SumsOneRowNamedAMillionTimes) {
  const int64_t count = 1000 * 1000;
  const at::Tensor values = random({count + 2, 8}), row_of = at::ones({count + 2}, at::kLong);
  row_of[0] = 0;
  row_of[count + 1] = 2;
  const auto segments = kernels::group_by_row(to_device(row_of), 4);
  const int64_t num_filled = segments.piece_end_P.gt(segments.piece_begin_P).sum().item<int64_t>();
  EXPECT_EQ(num_filled, (count + kernels::RowSegments::kLongRow - 1) / kernels::RowSegments::kLongRow);
  const at::Tensor got = device::segment_sum(to_device(values), segments);
  EXPECT_LT(relative_error(got, reference(values, row_of, 4)), 1e-5);
}

TEST(SegmentSumOnDevice, GivesTheSameBitsTwice) {
  const at::Tensor values = to_device(random({5000, 64})), row_of = to_device(at::randint(9, {5000}, at::kLong));
  const at::Tensor first = device::segment_sum(values, kernels::group_by_row(row_of, 9));
  EXPECT_TRUE(same_bits(first, device::segment_sum(values, kernels::group_by_row(row_of, 9))));
}

TEST(AddRowsOnDevice, AddsOnTopAndLeavesOtherRowsAlone) {
  for (const int64_t count : {0, 1, 50, 2000}) {
    const at::Tensor out = random({30, 16}), source = random({count, 16});
    const at::Tensor index = count ? at::randint(29, {count}, at::kLong) : at::empty({0}, at::kLong);
    at::Tensor got = to_device(out);
    device::add_rows(got, to_device(index), to_device(source));
    EXPECT_LT(relative_error(got, out.to(at::kDouble).index_add(0, index, source.to(at::kDouble))), 1e-6);
    EXPECT_TRUE(same_bits(got[29], out[29]));
  }
}

}  // namespace
}  // namespace cllm
