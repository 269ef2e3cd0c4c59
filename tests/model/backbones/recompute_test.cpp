// Activations of the backbone computed again by the backward pass.
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <gtest/gtest.h>

#include "model/backbones/gpt2/gpt2.h"
#include "support.h"
#include "tests/support/peak_memory.h"

namespace cllm {
namespace {

Gpt2Config twelve_layers() {
  Gpt2Config config;
  config.num_layers = 12;
  config.num_heads = 2;
  config.width = 32;
  config.max_positions = 200;
  config.num_words = 11;
  return config;
}

PackedLayout layout_with_dropout() {
  PackedLayout layout = make_layout({90, 1, 200, 64}, at::kCPU);
  layout.dropout_keys_T = testing::dropout_keys(layout.num_tokens(), 1);
  layout.output_rows_A = at::arange(0, layout.num_tokens(), 3, at::kLong);
  return layout;
}

at::Tensor input(int64_t rows, at::ScalarType dtype) {
  at::Tensor x = at::empty({rows, 32}, at::kDouble);
  CounterRng random(5);
  for (int64_t n = 0; n < x.numel(); ++n) x.mutable_data_ptr<double>()[n] = random.normal();
  return x.to(dtype).set_requires_grad(true);
}

constexpr Dropout kDropout{0.1, 0.2, 0.3};

std::shared_ptr<Gpt2> model_of(BackboneOptions options, bool recompute, bool trainable = false) {
  options.recompute = recompute;
  auto model = make_gpt2(twelve_layers(), 3, options);
  model->set_trainable(trainable);
  return model;
}

/// The output, the gradient of the input and those of the parameters.
std::vector<at::Tensor> forward_and_backward(const Gpt2& model, at::ScalarType dtype) {
  const PackedLayout layout = layout_with_dropout();
  const at::Tensor x = input(layout.num_tokens(), dtype);
  const at::Tensor out = model.forward(x, layout, kDropout);
  out.pow(3).sum().backward();
  std::vector<at::Tensor> all{out.detach(), x.grad()};
  for (const auto& [name, parameter] : model.parameters()) {
    if (parameter.grad().defined()) all.push_back(parameter.grad());
  }
  return all;
}

TEST(Recompute, ChangesNoBitOfValuesAndGradientsWithDropout) {
  for (const auto& options : {BackboneOptions{at::kDouble, at::kDouble}, BackboneOptions{at::kFloat, at::kFloat},
                              BackboneOptions{at::kFloat, at::kBFloat16}}) {
    for (const bool trainable : {false, true}) {
      if (trainable && options.compute != options.parameters) continue;
      const auto kept = forward_and_backward(*model_of(options, false, trainable), options.parameters),
                 again = forward_and_backward(*model_of(options, true, trainable), options.parameters);
      ASSERT_EQ(again.size(), kept.size());
      EXPECT_EQ(kept.size() > 2, trainable);
      for (size_t n = 0; n < kept.size(); ++n)
        EXPECT_TRUE(at::equal(again[n], kept[n])) << options.compute << ", tensor " << n;
    }
  }
}

TEST(Recompute, HoldsLessThanHalfOfTheActivations) {
  const auto peak = [](bool recompute) {
    const auto model = model_of({at::kFloat, at::kFloat}, recompute);
    return testing::peak_bytes_of(at::kCPU, [&] { forward_and_backward(*model, at::kFloat); });
  };
  const int64_t kept = peak(false), again = peak(true);
  EXPECT_LT(again, kept / 2) << again << " of " << kept << " bytes";
}

TEST(Recompute, WithoutAGraphItIsAPlainForward) {
  const at::NoGradGuard no_grad;
  const PackedLayout layout = layout_with_dropout();
  const auto forward = [&](bool recompute) {
    return model_of({}, recompute)->forward(input(layout.num_tokens(), at::kFloat), layout, kDropout);
  };
  EXPECT_FALSE(forward(true).requires_grad());
  EXPECT_TRUE(at::equal(forward(true), forward(false)));
}

}  // namespace
}  // namespace cllm
