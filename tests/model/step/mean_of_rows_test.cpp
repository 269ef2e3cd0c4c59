#include "model/step/mean_of_rows.h"

#include <gtest/gtest.h>

#include <ATen/TensorOperators.h>
#include <ATen/ops/tensor.h>

#include "model/step/encode.h"
#include "tests/model/recommenders/cllm4rec/small_model.h"
#include "tests/model/tensors.h"

namespace cllm {
namespace {

namespace means {

using testing::gap;
using testing::normal;

/// Two sequences: row, word, row; word, row. The last token of each is asked for, the last first, and the first word.
BatchTensors some_tokens() {
  BatchTensors out;
  out.tokens.row_positions = at::tensor({0, 2, 4}, at::kLong);
  out.layout = make_layout(std::vector<int64_t>{3, 2}, at::kCPU);
  out.layout.output_rows_A = at::tensor({4, 2, 3}, at::kLong);
  return out;
}

TEST(MeanOfRows, AStateHasTheMeanOfTheRowsBeforeItAndWordsDoNotCount) {
  const BatchTensors batch = some_tokens();
  const at::Tensor x_TD = normal({5, testing::kWidth}, 1);
  const at::Tensor mean_AD = mean_of_rows(batch.tokens, batch.layout, x_TD, 0);
  EXPECT_LT(gap(mean_AD[0], x_TD[4]), 1e-15);
  EXPECT_LT(gap(mean_AD[1], (x_TD[0] + x_TD[2]) / 2), 1e-15);
  EXPECT_EQ(mean_AD[2].abs().max().item<double>(), 0);
  const testing::TokenwiseBackbone backbone;
  EXPECT_LT(gap(hidden_states(backbone, batch, x_TD, {}, 0.5),
                hidden_states(backbone, batch.layout, x_TD, {}) + 0.5 * mean_AD),
            1e-15);
  EXPECT_EQ(gap(hidden_states(backbone, batch, x_TD, {}, 0), hidden_states(backbone, batch.layout, x_TD, {})), 0);
}

TEST(MeanOfRows, GradientsReachTheRowsAndNotTheWords) {
  const BatchTensors batch = some_tokens();
  const at::Tensor x_TD = normal({5, 2}, 2).requires_grad_(true);
  mean_of_rows(batch.tokens, batch.layout, x_TD, 0).sum().backward();
  const at::Tensor want = at::tensor({0.5, 0.0, 0.5, 0.0, 1.0}, at::kDouble).unsqueeze(1);
  EXPECT_LT(gap(x_TD.grad(), want.expand({5, 2})), 1e-15);
}

TEST(MeanOfRows, DropoutIsADrawOfTheTokenAlone) {
  BatchTensors batch = some_tokens();
  batch.layout.dropout_keys_T = at::tensor({11, 12, 13, 14, 15}, at::kLong);
  const at::Tensor x_TD = normal({5, 64}, 3);
  const at::Tensor some = mean_of_rows(batch.tokens, batch.layout, x_TD, 0.5);
  EXPECT_EQ(gap(some, mean_of_rows(batch.tokens, batch.layout, x_TD, 0.5)), 0);
  const double dropped = (some[0] == 0).to(at::kDouble).mean().item<double>();
  EXPECT_GT(dropped, 0.2);
  EXPECT_LT(dropped, 0.8);
}

}  // namespace means
}  // namespace
}  // namespace cllm
