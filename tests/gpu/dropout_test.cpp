#include "model/nn/dropout.h"

#include <ATen/ops/ones.h>
#include <ATen/ops/randint.h>

#include <gtest/gtest.h>

#include "model/kernels/elementwise/cuda.h"
#include "tests/gpu/test_device.h"

namespace cllm {
namespace {

using namespace test;

TEST(DropoutOnDevice, DrawsTheMaskOfTheCpuTwin) {
  for (const at::ScalarType dtype : {at::kFloat, at::kDouble}) {
    for (const auto& [num_tokens, width] : {std::pair{0, 8}, {1, 8}, {37, 768}, {5, 2048}}) {
      const at::Tensor x = random({num_tokens, width}, dtype), keys = at::randint(INT64_MAX, {num_tokens}, at::kLong);
      const at::Tensor want = dropout(x, DropoutSite{keys, 0.1, 42});
      EXPECT_TRUE(same_bits(kernels::cuda::dropout(to_device(x), to_device(keys), 0.1, 42), want))
          << num_tokens << " x " << width;
    }
  }
}

TEST(DropoutOnDevice, DropsTheSameElementsInBfloat16) {
  const at::Tensor ones = at::ones({64, 256}), keys = at::randint(INT64_MAX, {64}, at::kLong);
  const at::Tensor got = kernels::cuda::dropout(to_device(ones.to(at::kBFloat16)), to_device(keys), 0.25, 1).cpu();
  EXPECT_TRUE(same_bits(got != 0, dropout(ones, DropoutSite{keys, 0.25, 1}) != 0));
}

}  // namespace
}  // namespace cllm
