#include "model/nn/add_norm.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/tensor.h>

#include <gtest/gtest.h>

#include "model/nn/attention.h"
#include "model/nn/device_attention.h"
#include "model/nn/gelu.h"
#include "tests/gpu/test_device.h"

// The device's parts of a transformer block against the CPU's, values and gradients. T = 1 + 9 + 6 tokens, H = 2, D
// = 16.

namespace cllm {
namespace {

using namespace test;

PackedLayout layout_on(at::Device device) {
  PackedLayout layout;
  layout.offsets = {0, 1, 10, 16};
  layout.longest = 9;
  layout.offsets_B1 = at::tensor({0, 1, 10, 16}, at::kInt).to(device);
  return layout;
}

at::Tensor leaf(const at::Tensor& tensor, at::Device device) {
  return tensor.detach().to(device).clone().set_requires_grad(true);
}

/// Runs `twin` on the CPU and `device` on the device over the same inputs; compares the outputs and all input
/// gradients.
template <typename Twin, typename Device>
void expect_equal(const std::vector<at::Tensor>& inputs, double tolerance, Twin twin, Device device) {
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

TEST(DeviceBlocks, AttentionIsTheCpuTwinsWithAndWithoutDropout) {
  for (const double rate : {0.0, 0.3}) {
    const at::Tensor keys = at::randint(INT64_MAX, {16}, at::kLong);
    const DropoutSite site{rate > 0 ? keys : at::Tensor(), rate, 5},
        site_on_device{rate > 0 ? to_device(keys) : at::Tensor(), rate, 5};
    expect_equal(
        {random({16, 48}, at::kDouble), random({48}, at::kDouble)}, 1e-12,
        [&](const auto& in) { return causal_attention(in[0], in[1], layout_on(at::kCPU), 2, site); },
        [&](const auto& in) { return causal_attention(in[0], in[1], layout_on(kDevice), 2, site_on_device); });
  }
}

TEST(DeviceBlocks, FlashAttentionIsTheExactOneUpToBfloat16) {
  if (!kOnGpu) GTEST_SKIP() << "needs a GPU: libtorch has flash attention for packed sequences on GPUs only";
  const at::Tensor qkv = random({16, 3 * 128}).to(at::kBFloat16), bias = random({3 * 128}) * 0.1;
  const auto exact = [&](const auto& in) {
    return device::causal_attention(in[0].to(at::kFloat), in[1], layout_on(kDevice), 2, {});
  };
  at::Tensor a = leaf(qkv, kDevice), b = leaf(qkv, kDevice), bias_on_device = bias.to(kDevice);
  const at::Tensor want = exact(std::vector<at::Tensor>{a, bias_on_device});
  const at::Tensor got = device::causal_attention(b, bias_on_device, layout_on(kDevice), 2, {});
  EXPECT_LT(relative_error(got.detach(), want.detach()), 1e-2);
  const at::Tensor gradient = random({16, 128}).to(kDevice);
  want.backward(gradient);
  got.backward(gradient.to(at::kBFloat16));
  EXPECT_LT(relative_error(b.grad(), a.grad()), 2e-2);
}

/// Compute dtype, that of the residual stream, and the tolerance: in bf16 a result may round to the other side.
struct Precision {
  at::ScalarType compute, residual;
  double tolerance;
};
constexpr Precision kPrecisions[]{
    {at::kDouble, at::kDouble, 1e-12}, {at::kFloat, at::kFloat, 1e-5}, {at::kBFloat16, at::kFloat, 4e-3}};

TEST(DeviceBlocks, AddAndNormIsTheCpuTwins) {
  const at::Tensor keys = at::randint(INT64_MAX, {16}, at::kLong);
  const DropoutSite site{keys, 0.2, 9}, site_on_device{to_device(keys), 0.2, 9};
  const auto both = [](const std::pair<at::Tensor, at::Tensor>& pair) { return at::cat({pair.first, pair.second}); };
  for (const auto& [compute, residual, tolerance] : kPrecisions) {
    SCOPED_TRACE(compute);
    const Norm norm{random({24}, residual), random({24}, residual)};
    const Norm norm_on_device{to_device(norm.gamma), to_device(norm.beta)};
    expect_equal(
        {random({16, 24}, residual), random({16, 24}, compute), random({24}, residual)}, tolerance,
        [&](const auto& in) { return both(add_and_norm(in[0], in[1], in[2], norm, site)); },
        [&](const auto& in) { return both(add_and_norm(in[0], in[1], in[2], norm_on_device, site_on_device)); });
  }
}

TEST(DeviceBlocks, GeluIsTheCpuTwins) {
  for (const auto& [compute, residual, tolerance] : kPrecisions) {
    SCOPED_TRACE(compute);
    for (const Activation activation : {Activation::kGeluTanh, Activation::kGeluErf}) {
      expect_equal(
          {random({7, 32}, compute), random({32}, residual)}, tolerance,
          [&](const auto& in) { return bias_gelu(in[0], in[1], activation); },
          [&](const auto& in) { return bias_gelu(in[0], in[1], activation); });
    }
  }
}

}  // namespace
}  // namespace cllm
