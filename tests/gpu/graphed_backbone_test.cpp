#include "model/backbones/graphed_backbone.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/tensor.h>

#include <gtest/gtest.h>

#include "data/random.h"
#include "model/backbones/gpt2/gpt2.h"
#include "model/nn/packed_layout.h"
#include "tests/gpu/test_device.h"

namespace cllm {
namespace {

using namespace test;

constexpr int64_t kModelWidth = 16;

std::shared_ptr<Gpt2> model_in(at::ScalarType compute) {
  Gpt2Config config;
  config.num_layers = 2;
  config.num_heads = 2;
  config.width = kModelWidth;
  config.max_positions = 128;
  config.num_words = 11;
  return make_gpt2(config, 3, {at::kFloat, compute, at::Device(kDevice, 0)});
}

struct TwoPasses {
  at::Tensor hidden_AD, x_gradient_TD;
};

/// Both passes over sequences of these lengths, whose last tokens are read; inputs are a function of `seed`.
TwoPasses run(const Backbone& model, const std::vector<int64_t>& lengths, uint64_t seed, const Dropout& dropout = {}) {
  PackedLayout layout = make_layout(lengths, at::Device(kDevice, 0));
  std::vector<int64_t> last, keys;
  for (const int64_t end : layout.offsets) last.push_back(end - 1);
  last.erase(last.begin());
  CounterRng random(seed);
  for (int64_t t = 0; t < layout.num_tokens(); ++t) keys.push_back(static_cast<int64_t>(random.next()));
  layout.output_rows_A = to_device(at::tensor(last, at::kLong));
  if (dropout.active()) layout.dropout_keys_T = to_device(at::tensor(keys, at::kLong));
  const auto wave = [&](int64_t rows, double shift) {
    return (at::arange(rows * kModelWidth, at::kFloat) + shift).sin().view({rows, kModelWidth});
  };
  at::Tensor x = to_device(wave(layout.num_tokens(), static_cast<double>(seed))).set_requires_grad(true);
  const at::Tensor out = model.forward(x, layout, dropout);
  out.backward(to_device(wave(out.size(0), 1)).to(out.scalar_type()));
  return {out.detach(), x.grad()};
}

void expect_equal(const TwoPasses& got, const TwoPasses& want, double tolerance) {
  ASSERT_EQ(got.hidden_AD.sizes(), want.hidden_AD.sizes());
  EXPECT_LT(relative_error(got.hidden_AD, want.hidden_AD), tolerance);
  EXPECT_LT(relative_error(got.x_gradient_TD, want.x_gradient_TD), tolerance);
}

// Batches that fill a shape, leave much of it empty, come back to it, and go to others.
const std::vector<std::vector<int64_t>> kBatches{{40, 1, 30},  {64, 63},    {1},   {40, 2, 29},
                                                 {50, 60, 40}, {40, 1, 30}, {5, 5}};

TEST(GraphedBackbone, PlaysWhatTheBackboneComputes) {
  const auto model = model_in(at::kBFloat16);
  const GraphedBackbone recorded(model, 10'000, at::Device(kDevice, 0));
  uint64_t seed = 0;
  for (const auto& lengths : kBatches) {
    const uint64_t of_batch = ++seed;
    expect_equal(run(recorded, lengths, of_batch), run(*model, lengths, of_batch), 2e-2);
  }
  EXPECT_GT(recorded.num_shapes(), 1);
  EXPECT_LT(recorded.num_shapes(), static_cast<int64_t>(kBatches.size()));
}

TEST(GraphedBackbone, PlaysTheSameBitsAgain) {
  const auto model = model_in(at::kBFloat16);
  const GraphedBackbone one(model, 10'000, at::Device(kDevice, 0)), other(model, 10'000, at::Device(kDevice, 0));
  run(one, {33, 50}, 4);  // of the same shape
  const TwoPasses later = run(one, {40, 1, 30}, 5), first = run(other, {40, 1, 30}, 5);
  EXPECT_TRUE(same_bits(later.hidden_AD, first.hidden_AD));
  EXPECT_TRUE(same_bits(later.x_gradient_TD, first.x_gradient_TD));
}

TEST(GraphedBackbone, DropsWhatTheBackboneDrops) {
  const auto model = model_in(at::kBFloat16);
  const GraphedBackbone recorded(model, 10'000, at::Device(kDevice, 0));
  const Dropout dropout{.embedding = 0.2, .residual = 0.3};
  for (const uint64_t seed : {1, 2}) {
    const TwoPasses got = run(recorded, {40, 1, 30}, seed, dropout);
    expect_equal(got, run(*model, {40, 1, 30}, seed, dropout), 2e-2);
    EXPECT_GT(relative_error(got.hidden_AD, run(*model, {40, 1, 30}, seed + 7, dropout).hidden_AD), 0.1);
  }
  EXPECT_EQ(recorded.num_shapes(), 1);
}

TEST(GraphedBackbone, LeavesToTheBackboneWhatCannotBeRecorded) {
  const auto model = model_in(at::kBFloat16), exact = model_in(at::kFloat);
  const GraphedBackbone small(model, 70, at::Device(kDevice, 0)), in_fp32(exact, 10'000, at::Device(kDevice, 0));
  expect_equal(run(small, {40, 1, 30}, 1), run(*model, {40, 1, 30}, 1), 1e-12);
  expect_equal(run(in_fp32, {40, 1, 30}, 1), run(*exact, {40, 1, 30}, 1), 1e-12);
  run(small, {40, 1, 20}, 1, {.attention = 0.1});
  EXPECT_EQ(small.num_shapes() + in_fp32.num_shapes(), 0);
  run(small, {40, 1, 20}, 1);
  EXPECT_EQ(small.num_shapes(), 1);
}

}  // namespace
}  // namespace cllm
