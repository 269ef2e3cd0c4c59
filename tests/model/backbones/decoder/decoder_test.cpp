#include "model/backbones/decoder/decoder.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/tensor.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <numbers>

#include "model/backbones/load_backbone.h"
#include "model/errors.h"
#include "tests/model/tensors.h"

namespace cllm {
namespace {

namespace decoders {

using testing::gap;
using testing::normal;

const BackboneOptions kDouble{at::kDouble, at::kDouble};
const std::vector<int64_t> kLengths{5, 1, 12};
constexpr int64_t kWidth = 12, kWords = 11;

constexpr const char* kSizes =
    R"("hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, )"
    R"("intermediate_size": 20, "vocab_size": 11, "max_position_embeddings": 40, "head_dim": 6, )";

std::string text_of(const std::string& model_type) {
  std::string rest = R"("model_type": ")" + model_type + "\"";
  if (model_type == "mistral") rest += R"(, "sliding_window": 4)";
  if (model_type == "qwen3") rest += R"(, "tie_word_embeddings": true)";
  if (model_type == "gemma3_text")
    rest += R"(, "sliding_window": 3, "layer_types": ["sliding_attention", "full_attention"])";
  return std::string("{") + kSizes + rest + "}";
}

class DecoderConfigs : public ::testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(dir_); }
  void TearDown() override { std::filesystem::remove_all(dir_); }
  ConfigJson config(const std::string& text) const {
    std::ofstream(dir_ / "config.json") << text;
    return ConfigJson(dir_);
  }

  std::filesystem::path dir_ = std::filesystem::temp_directory_path() / ("decoder_test." + std::to_string(::getpid()));
};

class Decoders : public DecoderConfigs, public ::testing::WithParamInterface<const char*> {
 protected:
  /// Random norms and biases too, so that each of them matters.
  std::shared_ptr<Decoder> model(BackboneOptions options = kDouble) const {
    const DecoderConfig sizes = decoder_config(config(text_of(GetParam())));
    auto parameters = make_decoder(sizes, 3, {at::kDouble, at::kDouble})->parameters();
    uint64_t key = 50;
    for (auto& [name, parameter] : parameters)
      parameter = (parameter + 0.3 * normal(parameter.sizes().vec(), ++key)).to(options.parameters);
    return std::make_shared<Decoder>(sizes, std::move(parameters), options);
  }
};

int64_t total() { return 18; }

TEST_P(Decoders, SequencesOfAPackedBatchDoNotSeeEachOtherNorTheFuture) {
  const auto backbone = model();
  const at::Tensor x_TD = normal({total(), kWidth}, 1);
  const at::Tensor packed = backbone->forward(x_TD, make_layout(kLengths, at::kCPU), {});
  int64_t first = 0;
  for (const int64_t length : kLengths) {
    const at::Tensor alone = backbone->forward(x_TD.narrow(0, first, length), make_layout({length}, at::kCPU), {});
    EXPECT_LT(gap(packed.narrow(0, first, length), alone), 1e-12) << length;
    first += length;
  }
  at::Tensor changed = x_TD.clone();
  changed[10] += 1;  // the fifth of the last sequence
  const at::Tensor after = backbone->forward(changed, make_layout(kLengths, at::kCPU), {});
  EXPECT_LT(gap(after.narrow(0, 0, 10), packed.narrow(0, 0, 10)), 1e-12);
  for (const int64_t later : {10, 11, 12}) EXPECT_GT(gap(after[later], packed[later]), 1e-6) << later;
}

TEST_P(Decoders, AWindowHidesWhatIsFartherBack) {
  const auto backbone = model();
  const at::Tensor x_TD = normal({12, kWidth}, 2);
  at::Tensor changed = x_TD.clone();
  changed[0] += 1;
  const PackedLayout layout = make_layout({12}, at::kCPU);
  const at::Tensor before = backbone->forward(x_TD, layout, {}), after = backbone->forward(changed, layout, {});
  if (std::string_view(GetParam()) == "mistral") {  // two layers of windows of 4: 6 tokens on at most
    EXPECT_GT(gap(after[6], before[6]), 1e-8);
    EXPECT_LT(gap(after.narrow(0, 7, 5), before.narrow(0, 7, 5)), 1e-13);
  } else {
    EXPECT_GT(gap(after[11], before[11]), 1e-8);
  }
}

TEST_P(Decoders, GradientsEqualFiniteDifferencesAndThoseOfRecomputing) {
  const auto backbone = model();
  const PackedLayout layout = make_layout(kLengths, at::kCPU);
  const at::Tensor weight = normal({total(), kWidth}, 7);
  const auto gradient_of = [&](const Backbone& of) {
    const at::AutoGradMode enabled(true);
    const at::Tensor x_TD = normal({total(), kWidth}, 1).requires_grad_(true);
    (of.forward(x_TD, layout, {}) * weight).sum().backward();
    return x_TD.grad().clone();
  };
  const at::Tensor gradient = gradient_of(*backbone);
  const auto loss = [&](const at::Tensor& x) {
    return (backbone->forward(x, layout, {}) * weight).sum().item<double>();
  };
  const at::Tensor x_TD = normal({total(), kWidth}, 1), direction = normal({total(), kWidth}, 8);
  constexpr double kStep = 1e-6;
  const double slope = (loss(x_TD + kStep * direction) - loss(x_TD - kStep * direction)) / (2 * kStep);
  EXPECT_NEAR(slope / (gradient * direction).sum().item<double>(), 1, 1e-6);
  BackboneOptions again = kDouble;
  again.recompute = true;
  EXPECT_TRUE(at::equal(gradient_of(*model(again)), gradient));
}

TEST_P(Decoders, WantedRowsAreThoseOfAllRows) {
  const auto backbone = model();
  PackedLayout layout = make_layout(kLengths, at::kCPU);
  const at::Tensor x_TD = normal({total(), kWidth}, 1), all = backbone->forward(x_TD, layout, {});
  layout.output_rows_A = at::tensor({17, 4, 5}, at::kLong);
  EXPECT_LT(gap(backbone->forward(x_TD, layout, {}), all.index_select(0, layout.output_rows_A)), 1e-13);
}

TEST_P(Decoders, IsLoadedAsItWasSavedAndExtraRowsScoreAsWords) {
  const auto backbone = model({at::kFloat, at::kFloat});
  const at::Tensor rows = normal({3, kWidth}, 20).to(at::kFloat);
  const std::string dir = dir_ / "saved", longer = dir_ / "longer";
  backbone->save(dir);
  backbone->save(longer, {rows});
  const auto same = load_backbone(dir, {}), with_rows = load_backbone(longer, {});
  EXPECT_EQ(with_rows->num_words(), kWords + 3);
  EXPECT_TRUE(at::equal(with_rows->text_head().narrow(0, kWords, 3), rows));
  EXPECT_TRUE(at::equal(with_rows->word_embedding().narrow(0, kWords, 3), rows));
  const at::Tensor x_TD = normal({12, kWidth}, 2).to(at::kFloat);
  const PackedLayout layout = make_layout({12}, at::kCPU);
  const at::Tensor want = at::mm(backbone->forward(x_TD, layout, {}), backbone->text_head().t());
  for (const auto& loaded : {same, with_rows}) {
    const at::Tensor logits = at::mm(loaded->forward(x_TD, layout, {}), loaded->text_head().t());
    EXPECT_LT(gap(logits.narrow(1, 0, kWords), want), 1e-5);
  }
}

TEST_P(Decoders, OfPaddedWordTablesTheRowsOfTheTokenizerAreKept) {
  const auto backbone = model({at::kFloat, at::kFloat});
  const std::string dir = dir_ / "padded";
  backbone->save(dir);
  const auto cut = load_backbone(dir, {.num_words = kWords - 3});
  EXPECT_EQ(cut->num_words(), kWords - 3);
  EXPECT_TRUE(at::equal(cut->text_head(), backbone->text_head().narrow(0, 0, kWords - 3)));
  EXPECT_TRUE(at::equal(cut->word_embedding(), backbone->word_embedding().narrow(0, 0, kWords - 3)));
}

TEST_P(Decoders, TrainedParametersAllGetGradients) {
  const auto backbone = model();
  backbone->set_trainable(true);
  {
    const at::AutoGradMode enabled(true);
    backbone->forward(normal({total(), kWidth}, 1), make_layout(kLengths, at::kCPU), {}).sum().backward();
  }
  for (const auto& [name, parameter] : backbone->parameters()) {
    const bool of_words = name == "embed_tokens.weight" || name == "lm_head.weight";  // the step's
    EXPECT_EQ(parameter.grad().defined(), !of_words) << name;
  }
  EXPECT_TRUE(backbone->text_head_parameter().requires_grad());
}

TEST_P(Decoders, Bfloat16IsNear) {
  const auto exact = model({at::kFloat, at::kFloat}), rounded = model({at::kFloat, at::kBFloat16});
  const at::Tensor x_TD = normal({total(), kWidth}, 1).to(at::kFloat);
  const PackedLayout layout = make_layout(kLengths, at::kCPU);
  const at::Tensor want = exact->forward(x_TD, layout, {}), got = rounded->forward(x_TD, layout, {});
  EXPECT_EQ(got.scalar_type(), at::kBFloat16);
  EXPECT_LT((got.to(at::kFloat) - want).abs().max().item<double>(), 0.1 * want.abs().max().item<double>());
  EXPECT_THROW(rounded->set_trainable(true), ModelError);
}

TEST_P(Decoders, DropoutOfAttentionIsRefused) {
  EXPECT_THROW(model()->forward(normal({2, kWidth}, 1), make_layout({2}, at::kCPU), {.attention = 0.1}), ModelError);
}

INSTANTIATE_TEST_SUITE_P(Kinds, Decoders, ::testing::Values("llama", "mistral", "qwen2", "qwen3", "gemma3_text"));

TEST(Rotation, FollowsTheScalingsOfBackbonesMd) {
  const Rotation plain{.theta = 100};
  EXPECT_NEAR(plain.frequencies(4)[1], 0.1, 1e-15);
  const Rotation linear{.theta = 100, .scaling = Rotation::Scaling::kLinear, .factor = 8};
  EXPECT_NEAR(linear.frequencies(4)[1], 0.1 / 8, 1e-15);
  // Waves below original / high keep their frequency, above original / low it is divided, between it is mixed.
  const Rotation llama3{.theta = 1e4,
                        .scaling = Rotation::Scaling::kLlama3,
                        .factor = 8,
                        .low_frequency = 1,
                        .high_frequency = 4,
                        .original_positions = 64};
  const std::vector<double> f = llama3.frequencies(16), g = Rotation{.theta = 1e4}.frequencies(16);
  for (size_t n = 0; n < f.size(); ++n) {
    const double wave = 2 * std::numbers::pi / g[n];
    const double share = (64 / wave - 1) / 3;
    const double want = wave < 16 ? g[n] : wave > 64 ? g[n] / 8 : (1 - share) * g[n] / 8 + share * g[n];
    EXPECT_NEAR(f[n], want, 1e-15) << n;
  }
}

TEST_F(DecoderConfigs, WhatIsNotKnownIsRefusedByItsKey) {
  const std::string sizes = kSizes;
  for (const auto& [text, message] : std::initializer_list<std::pair<std::string, std::string>>{
           {sizes + R"("model_type": "llama", "attention_bias": true)", "attention_bias is true"},
           {sizes + R"("model_type": "llama", "hidden_act": "relu")", "hidden_act is \"relu\""},
           {sizes + R"("model_type": "llama", "rope_scaling": {"rope_type": "yarn"})", "rope_scaling is"},
           {sizes + R"("model_type": "llama", "rope_scaling": {"type": "linear", "factor": -1})", "factor"},
           {sizes + R"("model_type": "qwen2", "use_sliding_window": true)", "use_sliding_window is true"},
           {sizes + R"("model_type": "gemma3_text", "sliding_window": 3, "layer_types": ["full_attention"])",
            "layer_types"}}) {
    try {
      decoder_config(config("{" + text + "}"));
      ADD_FAILURE() << "accepted " << text;
    } catch (const ModelError& error) {
      EXPECT_THAT(error.what(), ::testing::HasSubstr(message));
    }
  }
}

}  // namespace decoders
}  // namespace
}  // namespace cllm
