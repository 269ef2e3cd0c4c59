#include "model/recommenders/sasrec/losses.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <cmath>

#include "model/recommenders/sasrec/options.h"
#include "tests/model/tensors.h"

namespace cllm {
namespace {

using testing::normal;

namespace sasrec_losses {

double probability(double score) { return 1 / (1 + std::exp(-score)); }
double at_place(const at::Tensor& x, int64_t i) { return x[i].item<double>(); }
double at_place(const at::Tensor& x, int64_t i, int64_t j) { return x[i][j].item<double>(); }

TEST(SasrecLosses, GbceBetaIsThatOfTheSource) {
  SasrecOptions options;
  EXPECT_NEAR(options.gbce_beta(12'101), 0.265868, 5e-7);
  EXPECT_NEAR(options.gbce_beta(3'416), 0.306223, 5e-7);
  options.gbce_t = 0;
  EXPECT_EQ(options.gbce_beta(12'101), 1);
  options.gbce_t = 1;
  EXPECT_DOUBLE_EQ(options.gbce_beta(12'101), 256.0 / 12'100);
}

TEST(SasrecLosses, GbceIsTheLogOfThePositivesProbabilityToBeta) {
  const at::Tensor positive = normal({3}, 1), negative = normal({3, 4}, 2);
  const double beta = 0.3;
  double wanted = 0;
  for (int64_t t = 0; t < 3; ++t) {
    wanted -= std::log(std::pow(probability(at_place(positive, t)), beta));
    for (int64_t k = 0; k < 4; ++k) wanted -= std::log(1 - probability(at_place(negative, t, k)));
  }
  EXPECT_NEAR(gbce_loss(positive, negative, beta).item<double>(), wanted / 5, 1e-12);
}

TEST(SasrecLosses, GbceWithBetaOneAndOneNegativeIsHalfTheBinaryCrossEntropy) {
  const at::Tensor hidden = normal({3, 4}, 3), positives = normal({3, 4}, 4), negatives = normal({3, 4}, 5);
  const at::Tensor positive = (hidden * positives).sum(1), negative = (hidden * negatives).sum(1).unsqueeze(1);
  double wanted = 0;
  for (int64_t t = 0; t < 3; ++t) {
    wanted -= std::log(probability(at_place(positive, t))) + std::log(1 - probability(at_place(negative, t, 0)));
  }
  EXPECT_NEAR(bce_loss(hidden, positives, negatives).item<double>(), wanted, 1e-12);
  EXPECT_NEAR(gbce_loss(positive, negative, 1).item<double>(), wanted / 2, 1e-12);
}

TEST(SasrecLosses, SampledSoftmaxLeavesOutThePositionsOwnTarget) {
  const at::Tensor positive = normal({2}, 6), negative = normal({2, 3}, 7);
  at::Tensor hit = at::zeros({2, 3}, at::kBool);
  hit[1][2] = true;
  double wanted = 0;
  for (int64_t t = 0; t < 2; ++t) {
    double sum = std::exp(at_place(positive, t));
    for (int64_t k = 0; k < 3; ++k)
      if (t != 1 || k != 2) sum += std::exp(at_place(negative, t, k));
    wanted -= at_place(positive, t) - std::log(sum);
  }
  EXPECT_NEAR(sampled_loss(positive, negative, hit).item<double>(), wanted, 1e-12);
}

TEST(SasrecLosses, APositionMeetsTheNegativesOfItsOwnGroup) {
  const std::vector<int64_t> lengths{2, 1, 3};
  const at::Tensor hidden = normal({6, 4}, 8), negatives = normal({3 * 5, 4}, 9);
  const at::Tensor scores = negative_scores(hidden, negatives, lengths);
  const int64_t group[] = {0, 0, 1, 2, 2, 2};
  for (int64_t t = 0; t < 6; ++t) {
    const at::Tensor wanted = at::mm(negatives.narrow(0, 5 * group[t], 5), hidden[t].unsqueeze(1)).squeeze(1);
    EXPECT_LT(testing::gap(scores[t], wanted), 1e-12);
  }
  const at::Tensor one_group = negative_scores(hidden, negatives.narrow(0, 0, 5), {6});
  for (int64_t t = 0; t < 6; ++t) {
    const at::Tensor wanted = at::mm(negatives.narrow(0, 0, 5), hidden[t].unsqueeze(1)).squeeze(1);
    EXPECT_LT(testing::gap(one_group[t], wanted), 1e-12);
  }
}

}  // namespace sasrec_losses
}  // namespace
}  // namespace cllm
