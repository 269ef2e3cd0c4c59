#include <ATen/ops/empty.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randperm.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <gtest/gtest.h>

#include "model/kernels/rows/cuda.h"
#include "tests/gpu/test_device.h"

namespace cllm {
namespace {

using namespace test;
namespace device = kernels::cuda;

TEST(GatherOnDevice, CopiesTheRowsOfEveryDtypeAndWidthBitForBit) {
  for (const at::ScalarType dtype : {at::kFloat, at::kDouble, at::kBFloat16}) {
    for (const int64_t width : {8, 24, 768, 2048}) {
      for (const int64_t count : {0, 1, 3, 4, 5, 257}) {
        const at::Tensor table = random({37, width}, dtype), rows = at::randint(37, {count}, at::kLong);
        const at::Tensor got = device::gather_rows(to_device(table), to_device(rows));
        EXPECT_TRUE(same_bits(got, table.index_select(0, rows))) << dtype << " D=" << width << " U=" << count;
      }
    }
  }
}

TEST(ScatterOnDevice, WritesTheRowsAndLeavesOthersAlone) {
  for (const at::ScalarType dtype : {at::kFloat, at::kDouble, at::kBFloat16}) {
    for (const int64_t width : {8, 24, 768}) {
      for (const int64_t count : {0, 1, 4, 5, 31}) {
        const at::Tensor start = random({37, width}, dtype), source = random({count, width}, dtype);
        const at::Tensor rows = at::randperm(37, at::kLong).narrow(0, 0, count).contiguous(),
                         got = to_device(start.clone());
        device::scatter_rows(got, to_device(rows), to_device(source));
        EXPECT_TRUE(same_bits(got, start.index_copy(0, rows, source))) << dtype << " D=" << width << " K=" << count;
      }
    }
  }
  EXPECT_THROW(
      device::scatter_rows(to_device(random({4, 8})), to_device(at::zeros({1}, at::kLong)), to_device(random({2, 8}))),
      c10::Error);
}

TEST(GatherOnDevice, ReachesRowsBeyondTwoToThe31Elements) {
  if (!kOnGpu) GTEST_SKIP() << "needs a GPU: a table of 4.3 GB";
  const int64_t width = 768, num_rows = (int64_t{1} << 31) / width + 1000;
  at::Tensor table = at::empty({num_rows, width}, at::TensorOptions().dtype(at::kBFloat16).device(kDevice));
  const at::Tensor rows = to_device(at::tensor({int64_t{0}, num_rows - 1, num_rows - 500}, at::kLong));
  const at::Tensor marks = to_device(random({3, width}, at::kBFloat16));
  table.index_copy_(0, rows, marks);
  EXPECT_TRUE(same_bits(device::gather_rows(table, rows), marks));
}

TEST(GatherOnDevice, RefusesWhatItCannotRead) {
  EXPECT_THROW(device::gather_rows(to_device(random({4, 7})), to_device(at::zeros({1}, at::kLong))), c10::Error);
  EXPECT_THROW(device::gather_rows(to_device(random({4, 16})).t(), to_device(at::zeros({1}, at::kLong))), c10::Error);
  EXPECT_THROW(device::gather_rows(to_device(random({4, 8})), to_device(at::zeros({1}, at::kInt))), c10::Error);
}

}  // namespace
}  // namespace cllm
