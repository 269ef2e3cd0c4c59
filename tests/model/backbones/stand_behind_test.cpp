// Backbones whose attention has sequences that stand behind another one.

#include <gtest/gtest.h>

#include <ATen/ops/cat.h>

#include <string>

#include "model/backbones/load_backbone.h"
#include "model/nn/heads/stand_behind.h"
#include "tests/data/text/shared_files.h"
#include "tests/model/tensors.h"

namespace cllm {
namespace stand_behind {

constexpr int64_t kWidth = 12;

std::shared_ptr<Backbone> random_model(const std::string& config) {
  const testing::TemporaryFolder folder;
  folder.write("config.json", config);
  return random_backbone(folder.path().string(), 3, {.parameters = at::kDouble, .compute = at::kDouble});
}

/// Three sequences behind the first of 7 tokens, one of them long, beside one of its own.
void expect_states_of_whole_sequences(const std::string& config) {
  const auto model = random_model(config);
  const std::vector<int32_t> offsets{0, 7, 8, 13, 17, 77};
  const std::vector<int64_t> behind{-1, 0, 0, -1, 0};
  PackedLayout layout = make_layout({7, 1, 5, 4, 60}, at::kCPU);
  layout.longest = 67;
  for (size_t b = 0; b < behind.size(); ++b) {
    if (behind[b] == 0) layout.positions_T.narrow(0, offsets[b], offsets[b + 1] - offsets[b]).add_(7);
  }
  const at::Tensor x_TD = testing::normal({77, kWidth}, 1);
  const at::Tensor states = [&] {
    const heads::StandBehind scope(behind);
    return model->forward(x_TD, layout, {});
  }();
  for (size_t b = 0; b < behind.size(); ++b) {
    const int64_t length = offsets[b + 1] - offsets[b], before = behind[b] < 0 ? 0 : 7;
    const at::Tensor whole = at::cat({x_TD.narrow(0, 0, before), x_TD.narrow(0, offsets[b], length)});
    const at::Tensor alone = model->forward(whole, make_layout({before + length}, at::kCPU), {});
    EXPECT_LT(testing::gap(states.narrow(0, offsets[b], length), alone.narrow(0, before, length)), 1e-12) << b;
  }
}

TEST(StandBehind, InGpt2GivesTheStatesOfWholeSequences) {
  expect_states_of_whole_sequences(
      R"({"model_type": "gpt2", "n_layer": 2, "n_head": 2, "n_embd": 12, "n_positions": 80, "vocab_size": 11})");
}

TEST(StandBehind, InDecodersGivesTheStatesOfWholeSequencesWithinTheirWindowToo) {
  const std::string sizes =
      R"({"hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, )"
      R"("intermediate_size": 20, "vocab_size": 11, "max_position_embeddings": 80, "head_dim": 6, "model_type": )";
  expect_states_of_whole_sequences(sizes + R"("llama"})");
  expect_states_of_whole_sequences(sizes + R"("mistral", "sliding_window": 4})");
}

}  // namespace stand_behind
}  // namespace cllm
