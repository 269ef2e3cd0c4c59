#include <gtest/gtest.h>

#include <ATen/ops/equal.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "model/backbones/load_backbone.h"
#include "model/errors.h"
#include "tests/data/text/shared_files.h"
#include "tests/model/tensors.h"

namespace cllm {
namespace states_after_tests {

/// Random weights by the config.json of a golden model with another number of layers; norms are 1 then.
std::shared_ptr<Backbone> random_model(const std::string& name, int64_t layers, at::ScalarType compute) {
  const testing::TemporaryFolder folder;
  std::ifstream in(testing::shared("golden/cllm4rec/arch/" + name + "/config.json"));
  nlohmann::json config = nlohmann::json::parse(in);
  config[name == "gpt2" ? "n_layer" : "num_hidden_layers"] = layers;
  folder.write("config.json", config.dump());
  return random_backbone(folder.path().string(), 1, {.compute = compute});
}

TEST(StatesAfter, ABlockAreThoseThatTheNextNormReads) {
  const at::Tensor x_TD = testing::normal({9, random_model("llama", 1, at::kFloat)->width()}, 1).to(at::kFloat);
  const PackedLayout layout = make_layout({4, 5}, at::kCPU);
  const auto one = random_model("llama", 1, at::kFloat), two = random_model("llama", 2, at::kFloat);
  const at::Tensor x = two->states_after(1, x_TD, layout);
  const at::Tensor normed = x / (x.square().mean(1, true) + 1e-5).sqrt();
  EXPECT_LT(testing::gap(normed, one->forward(x_TD, layout, {})), 1e-5);
  EXPECT_TRUE(at::equal(two->states_after(2, x_TD, layout), two->forward(x_TD, layout, {})));
}

TEST(StatesAfter, ABlockOfGpt2AreThoseThatTheNextNormReads) {
  const at::Tensor x_TD = testing::normal({9, random_model("gpt2", 1, at::kFloat)->width()}, 1).to(at::kFloat);
  const PackedLayout layout = make_layout({4, 5}, at::kCPU);
  const at::Tensor x = random_model("gpt2", 2, at::kFloat)->states_after(1, x_TD, layout);
  const at::Tensor centred = x - x.mean(1, true);
  const at::Tensor normed = centred / (centred.square().mean(1, true) + 1e-5).sqrt();
  EXPECT_LT(testing::gap(normed, random_model("gpt2", 1, at::kFloat)->forward(x_TD, layout, {})), 1e-5);
}

}  // namespace states_after_tests
}  // namespace cllm
