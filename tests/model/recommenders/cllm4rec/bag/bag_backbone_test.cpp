#include "model/recommenders/cllm4rec/bag/bag_backbone.h"

#include <gtest/gtest.h>

#include <ATen/TensorOperators.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include "model/errors.h"
#include "tests/model/tensors.h"

namespace cllm {
namespace {

namespace bag {

using testing::gap;
using testing::normal;

BackboneOptions in_fp64(int64_t num_words) {
  return {.parameters = at::kDouble, .compute = at::kDouble, .num_words = num_words};
}

TEST(BagBackbone, AHiddenStateIsTheMeanOfTheRowsBeforeItAndWordsDoNotCount) {
  const BagBackbone none(4, in_fp64(9));
  EXPECT_EQ(none.num_words(), 9);
  EXPECT_EQ(none.word_embedding().abs().sum().item<double>(), 0);
  at::Tensor x_TD = normal({5, 4}, 1);
  x_TD[1].zero_();  // a word
  x_TD[3].zero_();
  PackedLayout layout = make_layout(std::vector<int64_t>{3, 2}, at::kCPU);
  const at::Tensor all = none.forward(x_TD, layout, {});
  EXPECT_LT(gap(all[0], x_TD[0]), 1e-15);
  EXPECT_LT(gap(all[1], x_TD[0]), 1e-15);
  EXPECT_LT(gap(all[2], (x_TD[0] + x_TD[2]) / 2), 1e-15);
  EXPECT_EQ(all[3].abs().sum().item<double>(), 0);
  EXPECT_LT(gap(all[4], x_TD[4]), 1e-15);
  layout.output_rows_A = at::tensor({4, 2}, at::kLong);
  EXPECT_LT(gap(none.forward(x_TD, layout, {}), all.index_select(0, layout.output_rows_A)), 1e-15);
}

TEST(BagBackbone, GradientsReachEveryRowThatCounts) {
  const BagBackbone none(2, in_fp64(3));
  const at::Tensor x_TD = normal({3, 2}, 2).requires_grad_(true);
  none.forward(x_TD, make_layout(std::vector<int64_t>{3}, at::kCPU), {}).sum().backward();
  const at::Tensor want = at::tensor({1 + 0.5 + 1.0 / 3, 0.5 + 1.0 / 3, 1.0 / 3}, at::kDouble).unsqueeze(1);
  EXPECT_LT(gap(x_TD.grad(), want.expand({3, 2})), 1e-15);
}

TEST(BagBackbone, IsNoModelThatCouldBeSaved) {
  EXPECT_THROW(BagBackbone(2, in_fp64(3)).save("somewhere", {}), ModelError);
  EXPECT_TRUE(BagBackbone(2, in_fp64(3)).parameters().empty());
}

}  // namespace bag
}  // namespace
}  // namespace cllm
