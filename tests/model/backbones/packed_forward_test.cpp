// What the packed backbone must keep: sequences do not see each other, gradients are those of plain autograd, dropout
// is a function of its keys.
#include <gtest/gtest.h>

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/triu.h>

#include <map>

#include "model/backbones/gpt2/gpt2.h"
#include "model/nn/dropout.h"
#include "support.h"

namespace cllm {
namespace {

using testing::relative_gap;

const BackboneOptions kDouble{at::kDouble, at::kDouble};
const std::vector<int64_t> kLengths{5, 1, 130, 64, 17};

Gpt2Config small_config(Activation activation = Activation::kGeluTanh) {
  Gpt2Config config;
  config.num_layers = 2;
  config.num_heads = 3;
  config.width = 24;
  config.max_positions = 160;
  config.num_words = 11;
  config.activation = activation;
  return config;
}

/// A model whose biases and norms are random too, so that each of them matters.
std::shared_ptr<Gpt2> random_model(BackboneOptions options = kDouble, Activation activation = Activation::kGeluTanh) {
  const Gpt2Config config = small_config(activation);
  auto parameters = make_gpt2(config, 3, {options.parameters, options.parameters})->parameters();
  uint64_t n = 0;
  for (auto& [name, parameter] : parameters) {
    at::Tensor noise = at::empty(parameter.sizes(), at::kDouble);
    CounterRng random(++n);
    for (int64_t i = 0; i < noise.numel(); ++i) noise.mutable_data_ptr<double>()[i] = 0.2 * random.normal();
    parameter.add_(noise);
  }
  return std::make_shared<Gpt2>(config, parameters, options);
}

at::Tensor random_input(int64_t rows, int64_t width = 24) {
  at::Tensor x = at::empty({rows, width}, at::kDouble);
  CounterRng random(99);
  for (int64_t i = 0; i < x.numel(); ++i) x.mutable_data_ptr<double>()[i] = random.normal();
  return x;
}

/// The same network from plain tensor operations, one sequence at a time.
at::Tensor plain_forward(const Gpt2& model, const at::Tensor& x_TD) {
  std::map<std::string, at::Tensor> p;
  for (auto& [name, tensor] : model.parameters()) p[name] = tensor;
  const Gpt2Config& c = model.config();
  const int64_t T = x_TD.size(0), d = c.width / c.num_heads;
  const auto norm = [&](const at::Tensor& x, const std::string& n) {
    return at::layer_norm(x, {c.width}, p.at(n + ".weight"), p.at(n + ".bias"), c.layer_norm_epsilon);
  };
  const auto linear = [&](const at::Tensor& x, const std::string& n) {
    return x.mm(p.at(n + ".weight")) + p.at(n + ".bias");
  };
  const auto heads = [&](const at::Tensor& x) { return x.reshape({T, c.num_heads, d}).transpose(0, 1); };
  at::Tensor x = x_TD + p.at("wpe.weight").narrow(0, 0, T);
  for (int64_t layer = 0; layer < c.num_layers; ++layer) {
    const std::string h = "h." + std::to_string(layer) + ".";
    const auto qkv = linear(norm(x, h + "ln_1"), h + "attn.c_attn").chunk(3, 1);
    at::Tensor scores = heads(qkv[0]).matmul(heads(qkv[1]).transpose(1, 2)) / std::sqrt(static_cast<double>(d));
    scores = scores.masked_fill(at::ones({T, T}, at::kBool).triu(1), -1e300);
    x = x + linear(scores.softmax(-1).matmul(heads(qkv[2])).transpose(0, 1).reshape({T, c.width}), h + "attn.c_proj");
    const bool tanh = c.activation == Activation::kGeluTanh;
    x = x + linear(at::gelu(linear(norm(x, h + "ln_2"), h + "mlp.c_fc"), tanh ? "tanh" : "none"), h + "mlp.c_proj");
  }
  return norm(x, "ln_f");
}

/// Each sequence alone through plain_forward, joined again.
at::Tensor plain_packed(const Gpt2& model, const at::Tensor& x_TD, const PackedLayout& layout) {
  std::vector<at::Tensor> parts;
  for (int64_t b = 0; b < layout.num_sequences(); ++b) {
    parts.push_back(plain_forward(model, x_TD.narrow(0, layout.offsets[b], layout.offsets[b + 1] - layout.offsets[b])));
  }
  return at::cat(parts);
}

class EveryActivation : public ::testing::TestWithParam<Activation> {};

TEST_P(EveryActivation, PackedResultAndAllGradientsEqualPlainAutogradOnEachSequenceAlone) {
  const auto model = random_model(kDouble, GetParam());
  const PackedLayout layout = make_layout(kLengths, at::kCPU);
  const at::Tensor input = random_input(layout.num_tokens()), direction = random_input(layout.num_tokens()).sin();
  model->set_trainable(true);
  std::vector<std::pair<std::string, at::Tensor>> gradients[2];
  for (int variant = 0; variant < 2; ++variant) {
    at::Tensor x = input.clone().set_requires_grad(true);
    const at::Tensor out = variant == 0 ? model->forward(x, layout, {}) : plain_packed(*model, x, layout);
    gradients[variant].emplace_back("output", out.detach());
    (out * direction).sum().backward();
    gradients[variant].emplace_back("input", x.grad());
    for (auto& [name, parameter] : model->parameters()) {
      if (name == "wte.weight") continue;
      gradients[variant].emplace_back(name, parameter.grad().clone());
      parameter.mutable_grad() = at::Tensor();
    }
  }
  for (size_t n = 0; n < gradients[0].size(); ++n) {
    EXPECT_LT(relative_gap(gradients[0][n].second, gradients[1][n].second), 1e-11) << gradients[0][n].first;
  }
}

INSTANTIATE_TEST_SUITE_P(Gelu, EveryActivation, ::testing::Values(Activation::kGeluTanh, Activation::kGeluErf),
                         [](const auto& test) { return test.param == Activation::kGeluTanh ? "Tanh" : "Erf"; });

TEST(PackedForward, AFrozenBackboneGivesOnlyTheInputGradient) {
  const auto model = random_model();
  const PackedLayout layout = make_layout(kLengths, at::kCPU);
  at::Tensor x = random_input(layout.num_tokens()).set_requires_grad(true);
  model->forward(x, layout, {}).square().sum().backward();
  EXPECT_TRUE(x.grad().defined());
  for (const auto& [name, parameter] : model->parameters()) EXPECT_FALSE(parameter.grad().defined()) << name;
}

TEST(PackedForward, ChosenOutputRowsEqualTheSameRowsOfTheWholeResult) {
  const auto model = random_model();
  PackedLayout layout = make_layout(kLengths, at::kCPU);
  layout.dropout_keys_T = testing::dropout_keys(layout.num_tokens(), 7);
  const Dropout dropout{0.1, 0.1, 0.1};
  const at::Tensor rows = at::tensor({4, 135, 3, 200}, at::kLong);
  at::Tensor whole = random_input(layout.num_tokens()).set_requires_grad(true),
             chosen = whole.detach().clone().set_requires_grad(true);
  const at::Tensor expected = model->forward(whole, layout, dropout).index_select(0, rows);
  layout.output_rows_A = rows;
  const at::Tensor out = model->forward(chosen, layout, dropout);
  EXPECT_LT(relative_gap(out, expected), 1e-14);
  expected.pow(3).sum().backward();
  out.pow(3).sum().backward();
  EXPECT_LT(relative_gap(chosen.grad(), whole.grad()), 1e-12);
}

TEST(PackedForward, Fp32AndBf16AreCloseToFp64) {
  const PackedLayout layout = make_layout(kLengths, at::kCPU);
  const at::Tensor x = random_input(layout.num_tokens());
  const auto result = [&](BackboneOptions options) {
    at::Tensor leaf = x.to(options.parameters).clone().set_requires_grad(true);
    const at::Tensor out = random_model(options)->forward(leaf, layout, {});
    EXPECT_EQ(out.scalar_type(), options.compute);
    out.to(at::kDouble).pow(2).sum().backward();
    return std::pair(out.detach(), leaf.grad());
  };
  const auto truth = result(kDouble), fp32 = result({at::kFloat, at::kFloat}),
             bf16 = result({at::kFloat, at::kBFloat16});
  EXPECT_LT(relative_gap(fp32.first, truth.first), 2e-5);
  EXPECT_LT(relative_gap(fp32.second, truth.second), 2e-5);
  EXPECT_LT(relative_gap(bf16.first, truth.first), 0.05);
  EXPECT_LT(relative_gap(bf16.second, truth.second), 0.05);
}

TEST(PackedForward, RefusesASequenceLongerThanThePositions) {
  const auto model = random_model();
  const PackedLayout layout = make_layout({161}, at::kCPU);
  EXPECT_THROW(model->forward(random_input(161), layout, {}), std::runtime_error);
}

TEST(Dropout, IsAFunctionOfTheKeysAndNotOfTheNeighbours) {
  const auto model = random_model();
  PackedLayout layout = make_layout(kLengths, at::kCPU);
  layout.dropout_keys_T = testing::dropout_keys(layout.num_tokens(), 1);
  const at::Tensor x = random_input(layout.num_tokens());
  const Dropout on{0.1, 0.2, 0.3};
  const at::Tensor out = model->forward(x, layout, on);
  EXPECT_TRUE(out.equal(model->forward(x, layout, on)));
  EXPECT_GT(relative_gap(out, model->forward(x, layout, {})), 0.1);

  PackedLayout alone = make_layout({kLengths[2]}, at::kCPU);
  alone.dropout_keys_T = layout.dropout_keys_T.narrow(0, layout.offsets[2], kLengths[2]);
  const at::Tensor part = model->forward(x.narrow(0, layout.offsets[2], kLengths[2]), alone, on);
  EXPECT_LT(relative_gap(part, out.narrow(0, layout.offsets[2], kLengths[2])), 1e-12);

  layout.dropout_keys_T = testing::dropout_keys(layout.num_tokens(), 2);
  EXPECT_GT(relative_gap(model->forward(x, layout, on), out), 0.1);
}

TEST(Dropout, GradientOfEveryPlaceAgreesWithFiniteDifferences) {
  const auto model = random_model();
  PackedLayout layout = make_layout({3, 70}, at::kCPU);
  layout.dropout_keys_T = testing::dropout_keys(layout.num_tokens(), 1);
  const at::Tensor x = random_input(73), direction = random_input(73).cos();
  for (const Dropout& dropout : {Dropout{0.3, 0, 0}, Dropout{0, 0.3, 0}, Dropout{0, 0, 0.3}, Dropout{0.1, 0.1, 0.1}}) {
    const auto loss = [&](const at::Tensor& at) { return model->forward(at, layout, dropout).sin().sum(); };
    at::Tensor leaf = x.clone().set_requires_grad(true);
    loss(leaf).backward();
    const double h = 1e-5;
    const double numeric = ((loss(x + h * direction) - loss(x - h * direction)) / (2 * h)).item<double>();
    const double analytic = (leaf.grad() * direction).sum().item<double>();
    EXPECT_NEAR(analytic, numeric, 1e-6 * std::max(1.0, std::abs(numeric)));
  }
}

TEST(Dropout, KeepsTheExpectedShareAndTheMean) {
  const at::Tensor ones = at::ones({400, 500}, at::kDouble), keys = testing::dropout_keys(400, 5);
  const at::Tensor a = dropout(ones, {keys, 0.1, 1}), b = dropout(ones, {keys, 0.1, 2});
  const auto share = [](const at::Tensor& t) { return t.count_nonzero().item<double>() / 200000; };
  EXPECT_NEAR(share(a), 0.9, 0.003);  // 4.5 standard deviations
  EXPECT_NEAR(a.max().item<double>(), 1 / 0.9, 1e-12);
  EXPECT_NEAR(share(a * b), 0.81, 0.004);             // places are independent
  EXPECT_NEAR(share(a * a.roll(1, 0)), 0.81, 0.004);  // tokens are independent
  EXPECT_NEAR(share(a * a.roll(1, 1)), 0.81, 0.004);  // columns are independent
}

TEST(RandomInit, HasGpt2sScalesAndDependsOnTheSeedAlone) {
  const auto a = make_gpt2(small_config(), 5)->parameters(), b = make_gpt2(small_config(), 5)->parameters();
  const auto other = make_gpt2(small_config(), 6)->parameters();
  for (size_t n = 0; n < a.size(); ++n) {
    EXPECT_TRUE(a[n].second.equal(b[n].second)) << a[n].first;
    if (a[n].second.dim() < 2) continue;
    EXPECT_FALSE(a[n].second.equal(other[n].second)) << a[n].first;
    const double expected = a[n].first.ends_with("c_proj.weight") ? 0.01 : 0.02;  // 0.02 / sqrt(2 * 2 layers)
    EXPECT_NEAR(a[n].second.std().item<double>(), expected, 0.15 * expected) << a[n].first;
  }
}

}  // namespace
}  // namespace cllm
