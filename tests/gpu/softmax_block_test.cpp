#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>

#include <gtest/gtest.h>

#include "model/kernels/cuda.h"
#include "tests/gpu/test_device.h"

namespace cllm {
namespace {

using namespace test;
namespace device = kernels::cuda;

at::ScalarType sum_dtype(at::ScalarType dtype) { return dtype == at::kDouble ? at::kDouble : at::kFloat; }

TEST(SoftmaxBlockOnDevice, GivesMaximumSumAndExponentialsOfEveryRow) {
  for (const at::ScalarType dtype : {at::kFloat, at::kDouble, at::kBFloat16}) {
    for (const auto& [num_rows, width] : {std::pair{0, 8}, {3, 1}, {2, 7}, {5, 8}, {4, 33}, {3, 1000}, {2, 5003}, {2, 70001}}) {
      const at::Tensor logits = random({num_rows, width}, dtype) * 5;
      at::Tensor block = to_device(logits);
      at::Tensor maximum = at::full({num_rows}, NAN, block.options().dtype(sum_dtype(dtype))), sum = maximum.clone();
      device::exp_rows(block, maximum, sum);
      if (num_rows == 0) continue;
      const at::Tensor exact = logits.to(at::kDouble), top = std::get<0>(exact.max(1)), p = (exact - top.unsqueeze(1)).exp();
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

}  // namespace
}  // namespace cllm
