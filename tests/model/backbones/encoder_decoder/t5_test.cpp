#include "model/backbones/encoder_decoder/t5.h"

#include <gtest/gtest.h>

#include <ATen/TensorOperators.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/tensor.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "model/backbones/load_backbone.h"
#include "model/errors.h"
#include "tests/data/text/shared_files.h"
#include "tests/model/tensors.h"

namespace cllm {
namespace t5_tests {

std::string folder(const char* name) { return testing::shared(std::string("golden/cllm4rec/arch/") + name).string(); }

/// Two sequences of prompts of 3 and 2 tokens and main texts of 2 and 0; every token that has a state.
PackedLayout two_sequences() {
  PackedLayout layout = make_layout({5, 2}, at::kCPU);
  layout.prompts = {3, 2};
  layout.output_rows_A = at::tensor({2, 3, 4, 6}, at::kLong);
  return layout;
}

TEST(T5, BucketsAreThoseOfThePublishedModels) {  // BACKBONES.md §13
  const T5Config published;
  for (const auto& [distance, bucket] : std::vector<std::pair<int64_t, int64_t>>{{0, 0},
                                                                                 {-1, 1},
                                                                                 {1, 17},
                                                                                 {-8, 8},
                                                                                 {8, 24},
                                                                                 {-11, 8},
                                                                                 {-12, 9},
                                                                                 {-16, 10},
                                                                                 {-23, 11},
                                                                                 {-32, 12},
                                                                                 {-46, 13},
                                                                                 {-64, 14},
                                                                                 {-91, 15},
                                                                                 {-200, 15},
                                                                                 {128, 31}})
    EXPECT_EQ(relative_bucket(published, distance, true), bucket) << distance;
  for (const auto& [distance, bucket] : std::vector<std::pair<int64_t, int64_t>>{
           {-8, 8}, {-15, 15}, {-16, 16}, {-20, 17}, {-32, 21}, {-64, 26}, {-91, 29}, {-127, 31}, {1, 0}, {9, 0}})
    EXPECT_EQ(relative_bucket(published, distance, false), bucket) << distance;
}

TEST(T5, StatesOfAMainTextSeeThePromptAndWhatStandsBefore) {
  const auto backbone = load_backbone(folder("t5_gated_gelu"), {});
  const at::Tensor x_TD = testing::normal({7, backbone->width()}, 1).to(at::kFloat);
  const at::Tensor before = backbone->forward(x_TD, two_sequences(), {});
  const auto moved = [&](int64_t token) {
    at::Tensor other = x_TD.clone();
    other[token].add_(1);
    std::vector<bool> out;
    const at::Tensor after = backbone->forward(other, two_sequences(), {});
    for (int64_t n = 0; n < 4; ++n) out.push_back(!at::equal(after[n], before[n]));
    return out;
  };
  EXPECT_EQ(moved(0), std::vector<bool>({true, true, true, false}));   // of the first prompt
  EXPECT_EQ(moved(3), std::vector<bool>({false, true, true, false}));  // the first token of its main text
  EXPECT_EQ(moved(4), std::vector<bool>({false, false, true, false}));
  EXPECT_EQ(moved(6), std::vector<bool>({false, false, false, true}));
}

TEST(T5, RecomputedActivationsGiveTheSameGradients) {
  const auto gradient = [](bool recompute) {
    const auto backbone = load_backbone(folder("t5_relu"), {.recompute = recompute});
    const at::Tensor x_TD = testing::normal({7, backbone->width()}, 1).to(at::kFloat).requires_grad_(true);
    backbone->forward(x_TD, two_sequences(), {}).square().sum().backward();
    return x_TD.grad();
  };
  EXPECT_TRUE(at::equal(gradient(false), gradient(true)));
}

TEST(T5, AModelThatHoldsSomeWordsHasItsStartWord) {
  const auto all = load_backbone(folder("t5_relu"), {}), some = load_backbone(folder("t5_relu"), {.words = {9, 0}});
  const at::Tensor x_TD = testing::normal({7, all->width()}, 1).to(at::kFloat);
  EXPECT_TRUE(at::equal(all->forward(x_TD, two_sequences(), {}), some->forward(x_TD, two_sequences(), {})));
  EXPECT_THROW(load_backbone(folder("t5_relu"), {.words = {9, 4}}), ModelError);
}

TEST(T5, WhatIsSavedIsLoadedAgainWithFurtherRows) {
  for (const char* name : {"t5_relu", "t5_gated_gelu"}) {
    const auto backbone = load_backbone(folder(name), {});
    const at::Tensor rows = testing::normal({3, backbone->width()}, 2).to(at::kFloat);
    const testing::TemporaryFolder to;
    backbone->save(to.path().string(), {rows});
    const auto loaded = load_backbone(to.path().string(), {});
    EXPECT_EQ(loaded->num_words(), backbone->num_words() + 3);
    EXPECT_TRUE(at::equal(loaded->text_head().narrow(0, backbone->num_words(), 3), rows));
    const at::Tensor x_TD = testing::normal({7, backbone->width()}, 1).to(at::kFloat);
    EXPECT_TRUE(at::equal(loaded->forward(x_TD, two_sequences(), {}), backbone->forward(x_TD, two_sequences(), {})));
  }
}

TEST(T5, AFolderOfTransformers5SaysByAnotherKeyWhetherTheHeadIsTied) {
  const auto known = load_backbone(folder("t5_gated_gelu"), {});
  const testing::TemporaryFolder to;
  known->save(to.path().string());
  auto config = nlohmann::json::parse(std::ifstream(folder("t5_gated_gelu") + "/config.json"));
  config["tie_word_embeddings"] = true;
  config["scale_decoder_outputs"] = false;
  std::ofstream(to.path() / "config.json") << config;
  const auto loaded = load_backbone(to.path().string(), {});
  const at::Tensor x_TD = testing::normal({7, known->width()}, 1).to(at::kFloat);
  EXPECT_TRUE(at::equal(loaded->text_head(), known->text_head()));
  EXPECT_TRUE(at::equal(loaded->forward(x_TD, two_sequences(), {}), known->forward(x_TD, two_sequences(), {})));
}

TEST(T5, AForwardWithoutPromptsIsRefused) {
  const auto backbone = load_backbone(folder("t5_relu"), {});
  EXPECT_THROW(
      backbone->forward(testing::normal({7, backbone->width()}, 1).to(at::kFloat), make_layout({5, 2}, at::kCPU), {}),
      ModelError);
}

}  // namespace t5_tests
}  // namespace cllm
