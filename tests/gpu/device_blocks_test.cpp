#include "model/nn/add_norm.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/tensor.h>

#include <gtest/gtest.h>

#include "model/nn/attention.h"
#include "model/nn/gelu.h"
#include "tests/gpu/twins.h"

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

TEST(DeviceBlocks, AttentionIsTheCpuTwinsWithAndWithoutDropout) {
  for (const double rate : {0.0, 0.3}) {
    const at::Tensor keys = at::randint(INT64_MAX, {16}, at::kLong);
    const DropoutSite site{rate > 0 ? keys : at::Tensor(), rate, 5},
        site_on_device{rate > 0 ? to_device(keys) : at::Tensor(), rate, 5};
    expect_twins(
        {random({16, 48}, at::kDouble), random({48}, at::kDouble)}, 1e-12,
        [&](const auto& in) { return causal_attention(in[0], in[1], layout_on(at::kCPU), 2, site); },
        [&](const auto& in) { return causal_attention(in[0], in[1], layout_on(kDevice), 2, site_on_device); });
  }
}

TEST(DeviceBlocks, FlashAttentionIsTheExactOneUpToBfloat16) {
  const at::Tensor qkv = random({16, 3 * 128}).to(at::kBFloat16), bias = random({3 * 128}) * 0.1;
  const auto exact = [&](const auto& in) {
    return causal_attention(in[0].to(at::kFloat), in[1], layout_on(kDevice), 2, {});
  };
  at::Tensor a = leaf(qkv, kDevice), b = leaf(qkv, kDevice), bias_on_device = bias.to(kDevice);
  const at::Tensor want = exact(std::vector<at::Tensor>{a, bias_on_device});
  const at::Tensor got = causal_attention(b, bias_on_device, layout_on(kDevice), 2, {});
  EXPECT_LT(relative_error(got.detach(), want.detach()), 1e-2);
  const at::Tensor gradient = random({16, 128}).to(kDevice);
  want.backward(gradient);
  got.backward(gradient.to(at::kBFloat16));
  EXPECT_LT(relative_error(b.grad(), a.grad()), 2e-2);
}

TEST(DeviceBlocks, AddAndNormIsTheCpuTwins) {
  const at::Tensor keys = at::randint(INT64_MAX, {16}, at::kLong);
  const DropoutSite site{keys, 0.2, 9}, site_on_device{to_device(keys), 0.2, 9};
  const auto both = [](const std::pair<at::Tensor, at::Tensor>& pair) { return at::cat({pair.first, pair.second}); };
  for (const auto& [compute, residual, tolerance] : kPrecisions) {
    SCOPED_TRACE(compute);
    const Norm norm{random({24}, residual), random({24}, residual)};
    const Norm norm_on_device{to_device(norm.gamma), to_device(norm.beta)};
    expect_twins(
        {random({16, 24}, residual), random({16, 24}, compute), random({24}, residual)}, tolerance,
        [&](const auto& in) { return both(add_and_norm(in[0], in[1], in[2], norm, site)); },
        [&](const auto& in) { return both(add_and_norm(in[0], in[1], in[2], norm_on_device, site_on_device)); });
  }
}

TEST(DeviceBlocks, GeluIsTheCpuTwins) {
  for (const auto& [compute, residual, tolerance] : kPrecisions) {
    SCOPED_TRACE(compute);
    for (const Activation activation : {Activation::kGeluTanh, Activation::kGeluErf}) {
      expect_twins(
          {random({7, 32}, compute), random({32}, residual)}, tolerance,
          [&](const auto& in) { return bias_gelu(in[0], in[1], activation); },
          [&](const auto& in) { return bias_gelu(in[0], in[1], activation); });
    }
  }
}

}  // namespace
}  // namespace cllm
