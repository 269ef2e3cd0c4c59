#include "model/backbones/encoder/bert.h"

#include <gtest/gtest.h>

#include <ATen/ops/equal.h>

#include "model/backbones/load_backbone.h"
#include "model/backbones/safetensors.h"
#include "model/errors.h"
#include "tests/data/text/shared_files.h"
#include "tests/model/tensors.h"

namespace cllm {
namespace bert_tests {

std::string folder() { return testing::shared("golden/cllm4rec/arch/bert").string(); }

TEST(Bert, ReadsFilesOfOldNamesWithoutAPoolerAndWithWhatOnlyTrainingNeeds) {
  const auto backbone = load_backbone(folder(), {});
  const testing::TemporaryFolder old;
  backbone->save(old.path().string());
  NamedTensors renamed;
  for (auto [name, tensor] : backbone->parameters()) {
    if (name.starts_with("pooler.")) continue;
    if (name.ends_with("LayerNorm.weight")) name.replace(name.size() - 6, 6, "gamma");
    if (name.ends_with("LayerNorm.bias")) name.replace(name.size() - 4, 4, "beta");
    renamed.emplace_back("bert." + name, tensor);
  }
  renamed.emplace_back("cls.predictions.bias", renamed.back().second);
  write_safetensors((old.path() / "model.safetensors").string(), renamed);
  const auto loaded = load_backbone(old.path().string(), {});
  const at::Tensor x_TD = testing::normal({7, backbone->width()}, 1).to(at::kFloat);
  const PackedLayout layout = make_layout({4, 3}, at::kCPU);
  EXPECT_TRUE(at::equal(loaded->forward(x_TD, layout, {}), backbone->forward(x_TD, layout, {})));
  EXPECT_FALSE(dynamic_cast<const Bert&>(*loaded).pooled(x_TD, layout).defined());
}

TEST(Bert, PredictsNothingAndIsNotTrained) {
  EXPECT_FALSE(read_shape(folder()).predicts);
  EXPECT_THROW(load_backbone(folder(), {})->set_trainable(true), ModelError);
  EXPECT_THROW(load_backbone(folder(), {.adapters = {.rank = 2}}), ModelError);
}

}  // namespace bert_tests
}  // namespace cllm
