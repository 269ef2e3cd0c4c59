#include "model/losses/sampled_softmax.h"

#include <ATen/Context.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/mv.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/model/tensors.h"

// Letters: A positions, K targets, J items, S negatives, D width.

namespace cllm {
namespace {

using testing::gap;

constexpr int64_t kJ = 23, kD = 8;

struct SampledProblem {
  at::Tensor hidden_AD, items_JD;
  Targets targets;
};

SampledProblem some_problem(at::ScalarType dtype) {
  at::manual_seed(5);
  const Targets targets{at::tensor({0, 1, 4, 4, 6}, at::kLong), at::tensor({3, 0, 22, 7, 3, 3}, at::kLong),
                        at::rand({6}, at::kDouble)};
  return {at::randn({4, kD}).to(dtype), at::randn({kJ, kD}).to(dtype), targets};
}

SampledRows rows_of(const SampledProblem& problem, const at::Tensor& items_S) {
  return {items_S, problem.items_JD.index_select(0, items_S), problem.items_JD.index_select(0, problem.targets.ids_K),
          std::log(static_cast<double>(items_S.size(0)) / static_cast<double>(kJ))};
}

HeadResult exact(const SampledProblem& problem) {
  return text_softmax(problem.hidden_AD, problem.items_JD, problem.targets, /*want_weight_gradient=*/true);
}

TEST(SampledSoftmax, IsTheExactOneWhenEveryItemIsANegativeOnce) {
  for (const auto& [dtype, tolerance] : {std::pair{at::kDouble, 1e-13}, {at::kFloat, 5e-6}}) {
    const SampledProblem problem = some_problem(dtype);
    const at::Tensor all = at::arange(kJ, at::kLong);
    const SampledResult sampled = sampled_softmax(problem.hidden_AD, rows_of(problem, all), problem.targets);
    const HeadResult want = exact(problem);
    EXPECT_NEAR(sampled.loss, want.loss, tolerance * std::abs(want.loss));
    EXPECT_LT(gap(sampled.hidden_gradient, want.hidden_gradient), tolerance);
    at::Tensor rows = sampled.negative_gradient.clone();
    rows.index_add_(0, problem.targets.ids_K, sampled.target_gradient);
    EXPECT_LT(gap(rows, want.weight_gradient), tolerance);
  }
}

/// Central differences of the loss in every coordinate of `tensor`.
template <typename Loss>
at::Tensor differences(const at::Tensor& tensor, const Loss& loss) {
  at::Tensor out = at::empty_like(tensor), flat = tensor.view({-1});
  constexpr double kStep = 1e-6;
  for (int64_t n = 0; n < flat.numel(); ++n) {
    const double before = flat[n].item<double>();
    flat[n] = before + kStep;
    const double above = loss();
    flat[n] = before - kStep;
    out.view({-1})[n] = (above - loss()) / (2 * kStep);
    flat[n] = before;
  }
  return out;
}

TEST(SampledSoftmax, GradientsAreThoseOfItsLoss) {
  const SampledProblem problem = some_problem(at::kDouble);
  const SampledRows rows =
      rows_of(problem, at::tensor({3, 3, 0, 19, 8}, at::kLong));  // own targets and repetitions among them
  const auto loss = [&] { return sampled_softmax(problem.hidden_AD, rows, problem.targets).loss; };
  const SampledResult result = sampled_softmax(problem.hidden_AD, rows, problem.targets);
  EXPECT_LT(gap(result.hidden_gradient, differences(problem.hidden_AD, loss)), 1e-8);
  EXPECT_LT(gap(result.negative_gradient, differences(rows.negatives_SD, loss)), 1e-8);
  EXPECT_LT(gap(result.target_gradient, differences(rows.targets_KD, loss)), 1e-8);
}

TEST(SampledSoftmax, TheSumOverTheItemsIsEstimatedWithoutBias) {
  SampledProblem problem = some_problem(at::kDouble);
  problem.targets = {at::tensor({0, 1}, at::kLong), at::tensor({4}, at::kLong), at::ones({1}, at::kDouble)};
  problem.hidden_AD = problem.hidden_AD.narrow(0, 0, 1) * 0.3;
  const at::Tensor logits = at::mv(problem.items_JD, problem.hidden_AD[0]);
  double sum = 0, square = 0;
  constexpr int64_t kDraws = 4000, kS = 10;
  for (uint64_t draw = 0; draw < kDraws; ++draw) {
    const at::Tensor items = at::tensor(draw_negatives(kJ, kS, draw), at::kLong);
    const double z = std::exp(sampled_softmax(problem.hidden_AD, rows_of(problem, items), problem.targets).loss +
                              logits[4].item<double>());
    sum += z;
    square += z * z;
  }
  const double mean = sum / kDraws, deviation = std::sqrt((square / kDraws - mean * mean) / kDraws);
  EXPECT_NEAR(mean, logits.exp().sum().item<double>(), 4 * deviation);
}

TEST(SampledSoftmax, NegativesAreAFunctionOfTheirKey) {
  EXPECT_EQ(draw_negatives(1000, 64, 9), draw_negatives(1000, 64, 9));
  EXPECT_NE(draw_negatives(1000, 64, 9), draw_negatives(1000, 64, 10));
  for (const int32_t item : draw_negatives(3, 500, 1)) EXPECT_TRUE(item >= 0 && item < 3);
  EXPECT_TRUE(draw_negatives(0, 5, 1).empty());
}

TEST(SampledSoftmax, OnlyOwnTargetsAmongTheNegativesCostNothing) {
  SampledProblem problem = some_problem(at::kDouble);
  problem.targets = {at::tensor({0, 1, 1, 1, 1}, at::kLong), at::tensor({4}, at::kLong), at::ones({1}, at::kDouble)};
  const SampledResult result =
      sampled_softmax(problem.hidden_AD, rows_of(problem, at::tensor({4, 4}, at::kLong)), problem.targets);
  EXPECT_EQ(result.loss, 0);
  EXPECT_EQ(result.hidden_gradient.abs().max().item<double>(), 0);
}

TEST(SampledSoftmax, NoPositionsAreFine) {
  const SampledProblem problem = some_problem(at::kDouble);
  const Targets none{at::zeros({1}, at::kLong), at::empty({0}, at::kLong), at::empty({0}, at::kDouble)};
  const at::Tensor items = at::tensor({1, 2}, at::kLong);
  const SampledResult result =
      sampled_softmax(problem.hidden_AD.narrow(0, 0, 0),
                      {items, problem.items_JD.index_select(0, items), problem.items_JD.narrow(0, 0, 0), 0}, none);
  EXPECT_EQ(result.loss, 0);
  EXPECT_EQ(result.negative_gradient.abs().max().item<double>(), 0);
}

}  // namespace
}  // namespace cllm
