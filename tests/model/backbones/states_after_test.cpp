#include <gtest/gtest.h>

#include <ATen/TensorOperators.h>
#include <ATen/ops/equal.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "model/backbones/load_backbone.h"
#include "model/backbones/safetensors.h"
#include "tests/data/text/shared_files.h"
#include "tests/model/tensors.h"

namespace cllm {
namespace states_after_tests {

using testing::TemporaryFolder;

/// The config.json of a golden model with another number of layers.
void write_config(const TemporaryFolder& folder, const std::string& name, int64_t layers) {
  std::ifstream in(testing::shared("golden/cllm4rec/arch/" + name + "/config.json"));
  nlohmann::json config = nlohmann::json::parse(in);
  config[name == "gpt2" ? "n_layer" : "num_hidden_layers"] = layers;
  folder.write("config.json", config.dump());
}

/// A random model of two blocks, and its first block with the final norm: a model of one. Random norms are 1.
struct Models {
  std::shared_ptr<Backbone> two, one;

  explicit Models(const std::string& name) {
    const TemporaryFolder folder;
    write_config(folder, name, 2);
    two = random_backbone(folder.path().string(), 1);
    NamedTensors kept;
    for (const auto& [parameter, value] : two->parameters()) {
      if (!parameter.starts_with(name == "gpt2" ? "h.1." : "layers.1.")) kept.emplace_back(parameter, value);
    }
    write_config(folder, name, 1);
    write_safetensors((folder.path() / "model.safetensors").string(), kept);
    one = load_backbone(folder.path().string(), {});
  }
};

/// The norm of the states behind block 1 of two is what a model of that block alone gives.
void expect_first_block(const std::string& name, bool centred) {
  const Models models(name);
  const at::Tensor x_TD = testing::normal({9, models.two->width()}, 1).to(at::kFloat);
  const PackedLayout layout = make_layout({4, 5}, at::kCPU);
  at::Tensor x = models.two->states_after(1, x_TD, layout);
  if (centred) x = x - x.mean(1, true);
  const at::Tensor normed = x / (x.square().mean(1, true) + 1e-5).sqrt();
  EXPECT_LT(testing::gap(normed, models.one->forward(x_TD, layout, {})), 2e-5);
  EXPECT_TRUE(at::equal(models.two->states_after(2, x_TD, layout), models.two->forward(x_TD, layout, {})));
}

TEST(StatesAfter, ABlockOfADecoderAreThoseThatTheNextNormReads) { expect_first_block("llama", false); }

TEST(StatesAfter, ABlockOfGpt2AreThoseThatTheNextNormReads) { expect_first_block("gpt2", true); }

}  // namespace states_after_tests
}  // namespace cllm
