#include "model/backbones/adapters.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/mm.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "model/backbones/load_backbone.h"
#include "model/backbones/safetensors.h"
#include "model/errors.h"
#include "tests/model/tensors.h"

namespace cllm {
namespace {

namespace adapters {

using testing::gap;
using ::testing::HasSubstr;
using testing::normal;

constexpr int64_t kWidth = 12;
const std::vector<int64_t> kLengths{5, 1, 12};
constexpr int64_t kTokens = 18;

struct FamilyCase {
  const char* config;
  const char* matrix;  // of the second layer, adapted by default
  const char* every;   // a module of every layer
  const char* all;     // as a refusal names them
  bool keeps_inputs_first;
};

class AdaptedBackbone : public ::testing::TestWithParam<FamilyCase> {
 protected:
  void SetUp() override {
    std::filesystem::create_directories(dir_);
    std::ofstream(dir_ / "config.json") << GetParam().config;
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }

  std::shared_ptr<Backbone> backbone(const AdapterOptions& options, at::ScalarType parameters = at::kDouble,
                                     at::ScalarType compute = at::kDouble) const {
    return random_backbone(dir_, 3, {.parameters = parameters, .compute = compute, .adapters = options});
  }
  /// With B drawn too, so that both parts have gradients.
  std::shared_ptr<Backbone> moved(const AdapterOptions& options) const {
    const at::NoGradGuard no_grad;
    auto out = backbone(options);
    int64_t seed = 20;
    for (const auto& [name, value] : out->trainable()) at::Tensor(value).copy_(normal(value.sizes().vec(), ++seed));
    return out;
  }
  static at::Tensor run(const Backbone& model, const Dropout& dropout = {}) {
    PackedLayout layout = make_layout(kLengths, at::kCPU);
    if (dropout.active()) layout.dropout_keys_T = at::arange(kTokens, at::kLong);
    return model.forward(normal({kTokens, kWidth}, 1).to(model.word_embedding().scalar_type()), layout, dropout);
  }
  static void backward(const Backbone& model) {
    const at::AutoGradMode enabled(true);
    const at::Tensor out = run(model);
    (out * normal(out.sizes().vec(), 2)).sum().backward();
  }

  std::filesystem::path dir_ = std::filesystem::temp_directory_path() / ("adapters_test." + std::to_string(::getpid()));
};

TEST_P(AdaptedBackbone, StartsAsTheFrozenOneBitForBit) {
  for (const at::ScalarType compute : {at::kFloat, at::kBFloat16}) {
    const auto adapted = backbone({.rank = 4}, at::kFloat, compute);
    ASSERT_FALSE(adapted->trainable().empty());
    EXPECT_TRUE(at::equal(run(*adapted), run(*backbone({}, at::kFloat, compute)))) << compute;
    for (const auto& [name, value] : adapted->trainable()) EXPECT_EQ(value.scalar_type(), at::kFloat) << name;
  }
}

/// dA = alpha / rank B^T dW and dB = alpha / rank dW A^T, for dW the gradient of the matrix that both make.
TEST_P(AdaptedBackbone, GradientsAreProjectionsOfTheWholeOnes) {
  const auto adapted = moved({.rank = 2, .alpha = 3});
  adapted->save(dir_ / "merged");
  const auto whole = load_backbone(dir_ / "merged", {at::kDouble, at::kDouble});
  whole->set_trainable(true);
  backward(*adapted);
  backward(*whole);
  std::map<std::string, at::Tensor> parts, matrices;
  for (const auto& [name, value] : adapted->trainable()) parts[name] = value;
  for (const auto& [name, value] : whole->parameters()) matrices[name] = value;
  const std::string matrix = GetParam().matrix;
  ASSERT_TRUE(parts.contains(matrix + ".lora_A.weight"));
  const at::Tensor a = parts.at(matrix + ".lora_A.weight"), b = parts.at(matrix + ".lora_B.weight"),
                   gradient = matrices.at(matrix + ".weight").grad(),
                   whole_OI = GetParam().keeps_inputs_first ? gradient.t() : gradient;
  EXPECT_LT(gap(a.grad(), at::mm(b.detach().t(), whole_OI) * 1.5), 1e-9);
  EXPECT_LT(gap(b.grad(), at::mm(whole_OI, a.detach().t()) * 1.5), 1e-9);
}

TEST_P(AdaptedBackbone, IsSavedWithWhatItsAdaptersAdd) {
  const auto adapted = moved({.rank = 2});
  adapted->save(dir_ / "merged");
  EXPECT_LT(gap(run(*load_backbone(dir_ / "merged", {at::kDouble, at::kDouble})), run(*adapted)), 1e-9);
  const at::Tensor rows = normal({3, kWidth}, 5).to(at::kFloat);
  adapted->save(dir_ / "longer", {rows});
  EXPECT_LT(gap(run(*load_backbone(dir_ / "longer", {at::kDouble, at::kDouble})), run(*adapted)), 1e-5);
}

TEST_P(AdaptedBackbone, AdaptersAreFilesOfTheirOwnAsPeftReadsThem) {
  const auto adapted = moved({.rank = 2, .alpha = 3, .dropout = 0.05, .layers = {1}});
  adapted->adapters().save(dir_ / "adapter", "some/base");
  const SafetensorsFile file(dir_ / "adapter" / "adapter_model.safetensors");
  const auto named = adapted->trainable();
  EXPECT_EQ(file.names().size(), named.size());
  for (const auto& [name, value] : named) {
    const std::string prefix = GetParam().keeps_inputs_first ? "transformer." : "model.";
    EXPECT_LT(gap(file.tensor("base_model.model." + prefix + name), value), 1e-6) << name;
  }
  std::ifstream in(dir_ / "adapter" / "adapter_config.json");
  const auto config = nlohmann::json::parse(in);
  EXPECT_EQ(config.at("r"), 2);
  EXPECT_EQ(config.at("lora_alpha"), 3);
  EXPECT_EQ(config.at("lora_dropout"), 0.05);
  EXPECT_EQ(config.at("fan_in_fan_out"), GetParam().keeps_inputs_first);
  EXPECT_EQ(config.at("layers_to_transform"), std::vector<int64_t>{1});
  EXPECT_EQ(config.at("base_model_name_or_path"), "some/base");
}

TEST_P(AdaptedBackbone, OnlyChosenMatricesOfChosenLayersHaveThem) {
  const auto named = backbone({.rank = 1, .modules = {GetParam().every}, .layers = {1}})->trainable();
  ASSERT_EQ(named.size(), 2U);
  EXPECT_THAT(named[0].first, HasSubstr("1."));
  EXPECT_THAT(named[0].first, HasSubstr(std::string(GetParam().every) + ".lora_A"));
}

TEST_P(AdaptedBackbone, WhatNoMatrixIsNamedIsRefusedWithWhatThereIs) {
  const auto message = [&](const AdapterOptions& options) {
    try {
      backbone(options);
    } catch (const ModelError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_THAT(message({.rank = 1, .modules = {"w_q"}}), HasSubstr(GetParam().all));
  EXPECT_THAT(message({.rank = 1, .layers = {2}}), HasSubstr("layer 2 of a backbone with layers 0 to 1"));
}

TEST_P(AdaptedBackbone, DropoutIsOfTrainingAndRepeats) {
  const auto adapted = moved({.rank = 2});
  const at::Tensor once = run(*adapted, {.adapters = 0.5});
  EXPECT_TRUE(at::equal(once, run(*adapted, {.adapters = 0.5})));
  EXPECT_GT(gap(once, run(*adapted)), 1e-3);
}

TEST_P(AdaptedBackbone, IsNotTrainedAsAWhole) { EXPECT_THROW(backbone({.rank = 1})->set_trainable(true), ModelError); }

constexpr FamilyCase kGpt2{
    R"({"model_type": "gpt2", "n_embd": 12, "n_layer": 2, "n_head": 2, "n_positions": 20, "vocab_size": 11})",
    "h.1.attn.c_attn", "mlp.c_fc", "c_attn, c_proj, c_fc", true};
constexpr FamilyCase kLlama{
    R"({"model_type": "llama", "hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 4,)"
    R"( "num_key_value_heads": 2, "head_dim": 6, "intermediate_size": 20, "vocab_size": 11,)"
    R"( "max_position_embeddings": 40})",
    "layers.1.self_attn.q_proj", "down_proj", "q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj", false};
INSTANTIATE_TEST_SUITE_P(Families, AdaptedBackbone, ::testing::Values(kGpt2, kLlama),
                         [](const auto& one) { return one.param.keeps_inputs_first ? "gpt2" : "llama"; });

}  // namespace adapters
}  // namespace
}  // namespace cllm
