#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/full.h>
#include <ATen/ops/tensor.h>
#include <c10/core/CachingDeviceAllocator.h>

#include <gtest/gtest.h>

#include "model/kernels/elementwise/cuda.h"
#include "model/kernels/rows/cuda.h"
#include "model/kernels/softmax/cuda.h"
#include "tests/gpu/test_device.h"

// Elements beyond the 2^31st of a tensor. Each test does the same to a few rows of large tensors, at both ends, and to
// these rows alone: the bits are the same. On a GPU they take up to 40 GB (fp32 rows of 8.6 GB each); elsewhere the
// tensors stay small, which proves only the tests. R large rows, D width, three rows are looked at.

namespace cllm {
namespace {

using namespace test;
namespace device = kernels::cuda;

constexpr int64_t kLargeWidth = 768, kLargeRows = kOnGpu ? (int64_t{1} << 31) / kLargeWidth + 1000 : 700;

class OffsetsBeyondTwoToThe31 : public ::testing::Test {
 protected:
  void TearDown() override {
    if (kOnGpu) return c10::getDeviceAllocator(kDevice)->emptyCache();  // the next test may need all of the memory
    GTEST_SKIP() << "the offsets were small: large ones need a GPU";
  }

  static at::TensorOptions of(at::ScalarType dtype) { return at::TensorOptions().dtype(dtype).device(kDevice); }
  const at::Tensor rows_ = to_device(at::tensor({int64_t{0}, kLargeRows - 500, kLargeRows - 1}, at::kLong));

  /// A tensor of R rows that holds `three` where they are looked at; the rest is what it is.
  at::Tensor large(const at::Tensor& three) const {
    std::vector<int64_t> sizes = three.sizes().vec();
    sizes[0] = kLargeRows;
    return at::empty(sizes, three.options()).index_copy_(0, rows_, three);
  }
  at::Tensor small(const at::Tensor& of_large) const { return of_large.index_select(0, rows_); }
  void expect_same(const at::Tensor& of_large, const at::Tensor& three) const {
    EXPECT_TRUE(same_bits(small(of_large), three));
  }

  static at::Tensor three_rows(at::ScalarType dtype) { return to_device(random({3, kLargeWidth}, dtype)); }
};

TEST_F(OffsetsBeyondTwoToThe31, AnUpdateReachesThem) {
  const at::Tensor weight = three_rows(at::kBFloat16), m = three_rows(at::kFloat), v = three_rows(at::kFloat).square();
  const at::Tensor row_step = to_device(at::tensor({3, 1, 4}, at::kInt)), fixed = three_rows(at::kBFloat16);
  const kernels::RowGradient gradient{.rows_M = to_device(at::arange(3, at::kLong)),
                                      .parts_PD = three_rows(at::kFloat),
                                      .fixed_ND = fixed,
                                      .pull_M = to_device(at::tensor({0.5F, 0.0F, 2.0F}))};
  kernels::RowGradient of_large = gradient;
  of_large.rows_M = rows_;
  of_large.fixed_ND = large(fixed);
  const at::Tensor large_weight = large(weight), large_m = large(m), large_v = large(v), large_step = large(row_step);
  const kernels::RowCall call{1e-2, 0.9, 0.999, 1e-8, 5};
  const kernels::RowRule& adam = *kernels::find_row_rule("adam");
  device::update_rows(adam, {large_weight, {large_m, large_v}, large_step}, of_large, call);
  const at::Tensor before = weight.clone();
  device::update_rows(adam, {weight, {m, v}, row_step}, gradient, call);
  EXPECT_FALSE(same_bits(weight, before));
  expect_same(large_weight, weight);
  expect_same(large_m, m);
  expect_same(large_v, v);
  expect_same(large_step, row_step);
}

TEST_F(OffsetsBeyondTwoToThe31, RowsThereCatchUp) {
  const at::Tensor weight = three_rows(at::kFloat), m = three_rows(at::kFloat), v = three_rows(at::kFloat).square();
  const at::Tensor row_step = to_device(at::tensor({3, 5, 4}, at::kInt));
  const at::Tensor large_weight = large(weight), large_m = large(m), large_v = large(v);
  const at::Tensor large_step =
      at::full({kLargeRows}, 5, of(at::kInt)).index_copy_(0, rows_, row_step);  // all others are up to date
  const kernels::RowCall call{1e-2, 0.9, 0.999, 1e-8, 5};
  const kernels::RowRule& adam = *kernels::find_row_rule("adam");
  const at::Tensor before = weight.clone();
  device::catch_up_rows(adam, {large_weight, {large_m, large_v}, large_step}, {}, call);
  device::catch_up_rows(adam, {weight, {m, v}, row_step}, {}, call);
  EXPECT_FALSE(same_bits(weight, before));
  expect_same(large_weight, weight);
  expect_same(large_m, m);
  expect_same(large_v, v);
  EXPECT_TRUE(same_bits(large_step.min(), at::full({}, 5, at::kInt)));
}

TEST_F(OffsetsBeyondTwoToThe31, ContributionsThereAreSummed) {
  constexpr int64_t kLast = 300;  // contributions of the last row: more than a short row has
  const at::Tensor values = large(three_rows(at::kFloat)), of_last = to_device(random({kLast, kLargeWidth}));
  values.narrow(0, kLargeRows - kLast, kLast).copy_(of_last);
  const at::Tensor row_of = at::arange(kLargeRows, of(at::kLong)).clamp_max_(kLargeRows - kLast);
  const at::Tensor sums = device::segment_sum(values, kernels::group_by_row(row_of, kLargeRows - kLast + 1));
  EXPECT_TRUE(same_bits(sums[0], values[0]));
  EXPECT_TRUE(same_bits(sums[kLargeRows - 500], values[kLargeRows - 500]));
  EXPECT_LT(relative_error(sums[kLargeRows - kLast], of_last.cpu().to(at::kDouble).sum(0)), 1e-6);
}

TEST_F(OffsetsBeyondTwoToThe31, ExponentialsOfABlockOfLogits) {
  constexpr int64_t kLogits =
      kLargeWidth;  // a row takes whole 16-byte words, so that both tensors are read in the same order
  const at::Tensor three = to_device(random({3, kLogits}, at::kBFloat16)), logits = large(three);
  const at::Tensor maximum = at::empty({kLargeRows}, of(at::kFloat)), sum = at::empty({kLargeRows}, of(at::kFloat));
  const at::Tensor maximum_3 = at::empty({3}, of(at::kFloat)), sum_3 = at::empty({3}, of(at::kFloat));
  device::exp_rows(logits, maximum, sum);
  device::exp_rows(three, maximum_3, sum_3);
  expect_same(logits, three);
  expect_same(maximum, maximum_3);
  expect_same(sum, sum_3);
}

TEST_F(OffsetsBeyondTwoToThe31, ResidualStreamAndNorm) {
  const at::Tensor x = three_rows(at::kFloat), y = three_rows(at::kBFloat16),
                   keys = to_device(at::tensor({11, 22, 33}, at::kLong));
  const at::Tensor bias = to_device(random({kLargeWidth})), gamma = to_device(random({kLargeWidth})),
                   beta = to_device(random({kLargeWidth}));
  const device::NormCall call{gamma, beta, 1e-5, {keys, 0.3, 7}};
  device::NormCall of_large = call;
  of_large.mask.keys_T = large(keys);
  const auto outputs = [&](int64_t T) {
    return device::NormTensors{at::empty({T, kLargeWidth}, of(at::kFloat)),
                               at::empty({T, kLargeWidth}, of(at::kBFloat16)), at::empty({T}, of(at::kFloat)),
                               at::empty({T}, of(at::kFloat))};
  };
  device::NormTensors out = outputs(3), large_out = outputs(kLargeRows);
  device::add_norm(out, x, y, bias, call);
  device::add_norm(large_out, large(x), large(y), bias, of_large);
  expect_same(large_out.sum_TD, out.sum_TD);
  expect_same(large_out.normed_TD, out.normed_TD);
  expect_same(large_out.mean_T, out.mean_T);
  expect_same(large_out.inverse_T, out.inverse_T);

  const at::Tensor grad_n = three_rows(at::kBFloat16), grad_sum = three_rows(at::kFloat);
  out.normed_TD = grad_n;
  large_out.normed_TD = large(grad_n);
  const at::Tensor grad_x = at::empty_like(x), grad_y = at::empty_like(y);
  const at::Tensor large_grad_x = at::empty({kLargeRows, kLargeWidth}, x.options()),
                   large_grad_y = at::empty({kLargeRows, kLargeWidth}, y.options());
  device::add_norm_backward(grad_x, grad_y, out, grad_sum, call);
  device::add_norm_backward(large_grad_x, large_grad_y, large_out, large(grad_sum), of_large);
  expect_same(large_grad_x, grad_x);
  expect_same(large_grad_y, grad_y);
}

}  // namespace
}  // namespace cllm
