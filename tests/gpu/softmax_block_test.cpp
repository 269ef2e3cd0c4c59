#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/zeros.h>

#include <gtest/gtest.h>

#include "model/kernels/softmax/cuda.h"
#include "tests/gpu/test_device.h"

namespace cllm {
namespace {

using namespace test;
namespace device = kernels::cuda;

at::ScalarType sum_dtype(at::ScalarType dtype) { return dtype == at::kDouble ? at::kDouble : at::kFloat; }

TEST(SoftmaxBlockOnDevice, GivesMaximumSumAndExponentialsOfEveryRow) {
  for (const at::ScalarType dtype : {at::kFloat, at::kDouble, at::kBFloat16}) {
    for (const auto& [num_rows, width] :
         {std::pair{0, 8}, {3, 1}, {2, 7}, {5, 8}, {4, 33}, {3, 1000}, {2, 5003}, {2, 70001}}) {
      const at::Tensor logits = random({num_rows, width}, dtype) * 5;
      at::Tensor block = to_device(logits);
      at::Tensor maximum = at::full({num_rows}, NAN, block.options().dtype(sum_dtype(dtype))), sum = maximum.clone();
      device::exp_rows(block, maximum, sum);
      if (num_rows == 0) continue;
      const at::Tensor exact = logits.to(at::kDouble), top = std::get<0>(exact.max(1)),
                       p = (exact - top.unsqueeze(1)).exp();
      EXPECT_TRUE(same_bits(maximum.to(at::kDouble), top)) << dtype << " V=" << width;
      EXPECT_LT(relative_error(sum, p.sum(1)), dtype == at::kDouble ? 1e-14 : 1e-6) << dtype << " V=" << width;
      EXPECT_LT(relative_error(block, p), dtype == at::kDouble  ? 1e-14
                                          : dtype == at::kFloat ? 1e-6
                                                                : 4e-3)
          << dtype << " V=" << width;
    }
  }
}

TEST(SoftmaxBlockOnDevice, LeavesTheColumnsBesideARangeAlone) {
  const at::Tensor wide = to_device(random({6, 48}, at::kBFloat16)), before = wide.clone();
  for (const int64_t first : {0, 3}) {
    at::Tensor maximum = at::empty({6}, wide.options().dtype(at::kFloat)), sum = at::empty_like(maximum);
    device::exp_rows(wide.narrow(1, first, 37), maximum, sum);
    EXPECT_TRUE(same_bits(wide.narrow(1, 40, 8), before.narrow(1, 40, 8)));
  }
}

TEST(SoftmaxBlockOnDevice, AHeadWithoutRowsHasNoMassAndNanIsNotHidden) {
  const auto options = at::TensorOptions().device(kDevice);
  at::Tensor maximum = at::zeros({2}, options), sum = at::ones({2}, options);
  device::exp_rows(at::empty({2, 0}, options), maximum, sum);
  EXPECT_EQ(maximum[1].item<float>(), -INFINITY);
  EXPECT_EQ(sum[1].item<float>(), 0);
  at::Tensor logits = to_device(random({2, 100}));
  logits[1][50] = NAN;
  device::exp_rows(logits, maximum, sum);
  EXPECT_FALSE(std::isnan(sum[0].item<float>()));
  EXPECT_TRUE(std::isnan(sum[1].item<float>()));
}

struct Picked {
  at::Tensor index, rows;  // int64 [count]
};
Picked pick(int64_t count, int64_t num_out, int64_t num_values) {
  if (count == 0) return {at::empty({0}, at::kLong), at::empty({0}, at::kLong)};
  return {at::randint(num_out, {count}, at::kLong), at::randint(num_values, {count}, at::kLong)};
}

TEST(TargetRowsOnDevice, ProductsOfRowsAreTheCpuTwins) {
  for (const at::ScalarType dtype : {at::kFloat, at::kDouble, at::kBFloat16}) {
    for (const auto& [count, width] : {std::pair{0, 8}, {1, 8}, {50, 40}, {37, 768}}) {
      const at::Tensor a = random({11, width}, dtype), b = random({23, width}, dtype);
      const auto [a_rows, b_rows] = pick(count, 11, 23);
      const at::Tensor got = device::row_dots(to_device(a), to_device(a_rows), to_device(b), to_device(b_rows));
      EXPECT_EQ(got.scalar_type(), at::kDouble);
      EXPECT_LT(relative_error(got, kernels::row_dots(a, a_rows, b, b_rows)), dtype == at::kDouble ? 1e-14 : 1e-5)
          << dtype;
    }
  }
}

TEST(TargetRowsOnDevice, ScaledRowsAreAddedInTheOrderOfTheCpuTwin) {
  for (const auto& [sums, values] :
       {std::pair{at::kFloat, at::kFloat}, {at::kFloat, at::kBFloat16}, {at::kDouble, at::kDouble}}) {
    for (const int64_t count : {0, 1, 50, 2000}) {
      at::Tensor want = random({30, 40}, sums), got = to_device(want);
      const at::Tensor before = want.clone();
      const auto [index, rows] = pick(count, 29, 23);
      const kernels::ScaledRows source{random({23, 40}, values), rows, random({count}, sums)};
      kernels::add_scaled_rows(want, index, source);
      device::add_scaled_rows(got, to_device(index),
                              {to_device(source.values_VD), to_device(rows), to_device(source.scale_K)});
      EXPECT_LT(relative_error(got, want), sums == at::kDouble ? 1e-14 : 1e-6) << values << " K=" << count;
      if (!kOnGpu) {  // which multiplies and adds in one rounding
        EXPECT_TRUE(same_bits(got, want)) << values << " K=" << count;
      }
      EXPECT_TRUE(same_bits(got[29], before[29]));
    }
  }
}

TEST(TargetRowsOnDevice, ATargetOfAllPositionsIsSummedInPieces) {
  at::Tensor want = at::zeros({3, 8}, at::kDouble), got = to_device(at::zeros({3, 8}));
  const at::Tensor index = at::ones({5000}, at::kLong), rows = at::randint(7, {5000}, at::kLong),
                   values = random({7, 8}), scale = random({5000});
  kernels::add_scaled_rows(want, index, {values.to(at::kDouble), rows, scale.to(at::kDouble)});
  device::add_scaled_rows(got, to_device(index), {to_device(values), to_device(rows), to_device(scale)});
  EXPECT_LT(relative_error(got, want), 1e-5);
}

TEST(TargetRowsOnDevice, WhatDoesNotFitIsRefused) {
  at::Tensor out = to_device(random({3, 8}));
  const at::Tensor one = to_device(at::zeros({1}, at::kLong));
  EXPECT_THROW(device::add_scaled_rows(out, one, {to_device(random({2, 8})), one, to_device(random({1}, at::kDouble))}),
               c10::Error);
  EXPECT_THROW(device::add_scaled_rows(out, one, {to_device(random({2, 16})), one, to_device(random({1}))}),
               c10::Error);
  EXPECT_THROW(device::row_dots(out, one, to_device(random({2, 8}, at::kBFloat16)), one), c10::Error);
}

}  // namespace
}  // namespace cllm
