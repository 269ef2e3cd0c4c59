#include <ATen/ops/arange.h>
#include <ATen/ops/tensor.h>

#include <gtest/gtest.h>

#include "data/random.h"
#include "model/backbones/gpt2/gpt2.h"
#include "model/nn/packed_layout.h"
#include "tests/gpu/test_device.h"
#include "tests/support/peak_memory.h"

namespace cllm {
namespace {

using namespace test;

std::shared_ptr<Gpt2> model_on_device(bool recompute) {
  Gpt2Config config;
  config.num_layers = 5;
  config.num_heads = 2;
  config.width = 16;
  config.max_positions = 64;
  config.num_words = 11;
  return make_gpt2(config, 3, {at::kFloat, at::kFloat, at::Device(kDevice, 0), recompute});
}

/// Output and input gradient, with dropout everywhere.
std::pair<at::Tensor, at::Tensor> forward_and_backward(const Gpt2& model) {
  PackedLayout layout = make_layout({40, 1, 30}, at::Device(kDevice, 0));
  std::vector<int64_t> keys(static_cast<size_t>(layout.num_tokens()));
  for (size_t t = 0; t < keys.size(); ++t) keys[t] = static_cast<int64_t>(mix64(t));
  layout.dropout_keys_T = to_device(at::tensor(keys, at::kLong));
  at::Tensor x =
      to_device(at::arange(layout.num_tokens() * 16, at::kFloat).sin().view({-1, 16})).set_requires_grad(true);
  const at::Tensor out = model.forward(x, layout, {0.1, 0.2, 0.3});
  out.backward(to_device(at::arange(out.numel(), at::kFloat).cos().view(out.sizes())));
  return {out.detach(), x.grad()};
}

TEST(Recompute, ChangesNoBitOnTheDevice) {
  const auto kept = forward_and_backward(*model_on_device(false)), again = forward_and_backward(*model_on_device(true));
  EXPECT_TRUE(same_bits(again.first, kept.first));
  EXPECT_TRUE(same_bits(again.second, kept.second));
}

TEST(Recompute, HoldsLessOnTheDevice) {
  const auto peak = [](bool recompute) {
    const auto model = model_on_device(recompute);
    return testing::peak_bytes_of(kDevice, [&] { forward_and_backward(*model); });
  };
  const int64_t kept = peak(false), again = peak(true);
  EXPECT_LT(again, kept * 5 / 6) << again << " of " << kept << " bytes";
}

}  // namespace
}  // namespace cllm
