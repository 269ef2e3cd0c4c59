#pragma once

#include <vector>

#include <gtest/gtest.h>

#include "tests/gpu/test_device.h"

namespace cllm::test {

inline at::Tensor leaf(const at::Tensor& tensor, at::Device device) {
  return tensor.detach().to(device).clone().set_requires_grad(true);
}

/// Runs `twin` on the CPU and `device` on the device over the same inputs; compares the outputs and all input
/// gradients.
template <typename Twin, typename Device>
void expect_twins(const std::vector<at::Tensor>& inputs, double tolerance, Twin twin, Device device) {
  std::vector<at::Tensor> on_cpu, on_device;
  for (const at::Tensor& input : inputs) {
    on_cpu.push_back(leaf(input, at::kCPU));
    on_device.push_back(leaf(input, kDevice));
  }
  const at::Tensor want = twin(on_cpu), got = device(on_device);
  EXPECT_LT(relative_error(got.detach(), want.detach()), tolerance);
  EXPECT_EQ(got.scalar_type(), want.scalar_type());
  const at::Tensor gradient = random(want.sizes(), want.scalar_type());
  want.backward(gradient);
  got.backward(gradient.to(kDevice));
  for (size_t n = 0; n < inputs.size(); ++n)
    EXPECT_LT(relative_error(on_device[n].grad(), on_cpu[n].grad()), tolerance) << "input " << n;
}

/// Compute dtype, that of the residual stream, and the tolerance: in bf16 a result may round to the other side.
struct Precision {
  at::ScalarType compute, residual;
  double tolerance;
};
inline constexpr Precision kPrecisions[]{
    {at::kDouble, at::kDouble, 1e-12}, {at::kFloat, at::kFloat, 1e-5}, {at::kBFloat16, at::kFloat, 4e-3}};

}  // namespace cllm::test
