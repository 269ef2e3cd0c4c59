#include "model/backbones/gpt2/gpt2.h"

#include <gtest/gtest.h>

namespace cllm {
namespace {

constexpr double kTokens = 30, kPairs = 500;  // (query, key)

Gpt2Config with_inner_width(int64_t inner_width) {
  return {.num_layers = 3, .num_heads = 2, .width = 8, .max_positions = 16, .num_words = 5, .inner_width = inner_width};
}

TEST(Gpt2, OperationsAreThoseOfItsWeightsWhateverTheMlpsWidth) {
  for (const int64_t inner_width : {int64_t{0}, int64_t{8}, int64_t{20}, int64_t{64}}) {
    const auto backbone = make_gpt2(with_inner_width(inner_width), 1);
    double weights = 0;  // of the blocks' matrices: two operations each and token
    for (const auto& [name, tensor] : backbone->parameters())
      if (name.starts_with("h.") && tensor.dim() == 2) weights += static_cast<double>(tensor.numel());
    EXPECT_DOUBLE_EQ(backbone->flops(kTokens, 0), 2 * kTokens * weights) << inner_width;
    EXPECT_DOUBLE_EQ(backbone->flops(0, kPairs), 2 * kPairs * 3 * 8);
  }
}

TEST(Gpt2, IsTrainedAsAWholeOrNotAtAll) {
  const auto backbone = make_gpt2(with_inner_width(0), 1);
  EXPECT_TRUE(backbone->trainable().empty());
  backbone->set_trainable(true);
  EXPECT_EQ(backbone->trainable().size(), backbone->parameters().size());
}

}  // namespace
}  // namespace cllm
