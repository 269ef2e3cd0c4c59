#include "model/losses/contrast.h"

#include <gtest/gtest.h>

#include <ATen/ops/empty_like.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <cmath>
#include <mutex>
#include <vector>

#include "dist/row_partition.h"
#include "tests/model/tensors.h"
#include "tests/support/thread_world.h"

namespace cllm {
namespace {

namespace contrast {

using testing::gap;
using testing::normal;

constexpr int64_t kWidth = 3;
constexpr double kTemperature = 0.3;

/// Some positions of three users; two of different users predict the same item.
const std::vector<int64_t> kOwners{5, 5, 5, 8, 8, 11, 11};
const std::vector<int32_t> kItems{2, 0, 3, 2, 4, 1, 0};

using Vector = std::vector<double>;

Vector unit_row(const at::Tensor& x_AD, int64_t a) {
  Vector out;
  double square = 0;
  for (int64_t d = 0; d < x_AD.size(1); ++d) out.push_back(x_AD[a][d].item<double>());
  for (const double value : out) square += value * value;
  for (double& value : out) value /= std::sqrt(square);
  return out;
}

double dot(const Vector& a, const Vector& b) {
  double sum = 0;
  for (size_t d = 0; d < a.size(); ++d) sum += a[d] * b[d];
  return sum;
}

/// By the formulas of contrast.h, pair by pair.
double slow_value(ContrastTerm::Kind kind, const at::Tensor& hidden_AD, const at::Tensor& rows_AD) {
  const auto A = static_cast<int64_t>(kItems.size());
  std::vector<Vector> h, w;
  for (int64_t a = 0; a < A; ++a) h.push_back(unit_row(hidden_AD, a)), w.push_back(unit_row(rows_AD, a));
  double near_h = 0, near_w = 0, pairs_h = 0, pairs_w = 0, loss = 0;
  for (size_t a = 0; a < h.size(); ++a) {
    double normaliser = 0;
    for (size_t b = 0; b < h.size(); ++b) {
      const bool others = kOwners[a] != kOwners[b], different = kItems[a] != kItems[b];
      if (a == b || (others && different)) normaliser += std::exp(dot(h[a], w[b]) / kTemperature);
      if (others) near_h += std::exp(-2 * (2 - 2 * dot(h[a], h[b]))), pairs_h += 1;
      if (different) near_w += std::exp(-2 * (2 - 2 * dot(w[a], w[b]))), pairs_w += 1;
    }
    loss += (std::log(normaliser) - dot(h[a], w[a]) / kTemperature) / static_cast<double>(A);
  }
  return kind == ContrastTerm::Kind::kContrastive ? loss
                                                  : (std::log(near_h / pairs_h) + std::log(near_w / pairs_w)) / 2;
}

/// Central differences of slow_value().
at::Tensor slow_gradient(ContrastTerm::Kind kind, const at::Tensor& hidden_AD, const at::Tensor& rows_AD,
                         bool of_rows) {
  constexpr double kStep = 1e-5;
  at::Tensor x = of_rows ? rows_AD : hidden_AD, out = at::empty_like(x);
  for (int64_t n = 0; n < x.numel(); ++n) {
    double value[2];
    for (const int side : {0, 1}) {
      at::Tensor moved = x.clone();
      moved.view(-1)[n].add_(side == 0 ? kStep : -kStep);
      value[side] = of_rows ? slow_value(kind, hidden_AD, moved) : slow_value(kind, moved, rows_AD);
    }
    out.view(-1)[n].fill_((value[0] - value[1]) / (2 * kStep));
  }
  return out;
}

class Contrast : public ::testing::TestWithParam<ContrastTerm::Kind> {};

TEST_P(Contrast, ValueAndGradientsAreThoseOfASlowReferenceOnAnyNumberOfRanks) {
  const auto A = static_cast<int64_t>(kItems.size());
  const at::Tensor hidden_AD = normal({A, kWidth}, 1) * 2, rows_AD = normal({A, kWidth}, 2);
  const double expected = slow_value(GetParam(), hidden_AD, rows_AD);
  const at::Tensor of_hidden = slow_gradient(GetParam(), hidden_AD, rows_AD, false),
                   of_rows = slow_gradient(GetParam(), hidden_AD, rows_AD, true);
  for (const int world_size : {1, 2, 3, 4}) {
    double loss = 0;
    std::mutex mutex;
    testing::run_ranks(world_size, [&](Communicator& comm) {
      const RowPartition shares(A, world_size);
      const int64_t first = shares.begin(comm.rank()), count = shares.size(comm.rank());
      ContrastPositions mine{{kOwners.begin() + first, kOwners.begin() + first + count},
                             {kItems.begin() + first, kItems.begin() + first + count}};
      ContrastTerm term(GetParam(), comm, 100, mine, kTemperature);
      ASSERT_EQ(std::ssize(term.rows()), count);
      for (int64_t n = 0; n < count; ++n)
        EXPECT_EQ(term.rows()[static_cast<size_t>(n)], 100 + kItems[static_cast<size_t>(first + n)]);
      const Targets none{at::zeros({count + 1}, at::kLong), at::zeros({0}, at::kLong), at::zeros({0}, at::kDouble)};
      const at::Tensor h = hidden_AD.narrow(0, first, count), w = rows_AD.narrow(0, first, count);
      const HiddenResult result = term.value_and_gradients({h, none, w});
      EXPECT_LT(gap(result.hidden_gradient_AD, of_hidden.narrow(0, first, count)), 1e-8) << world_size;
      EXPECT_LT(gap(result.asked_gradient_KD, of_rows.narrow(0, first, count)), 1e-8) << world_size;
      const std::lock_guard lock(mutex);
      loss += result.loss;
    });
    EXPECT_NEAR(loss, expected, 1e-12) << world_size << " ranks";
  }
}

TEST_P(Contrast, OnePositionAndARankWithoutAnyAreNoNaN) {
  testing::run_ranks(2, [&](Communicator& comm) {
    const int64_t count = comm.rank() == 0 ? 1 : 0;
    ContrastPositions mine;
    if (count == 1) mine = {{3}, {1}};
    ContrastTerm term(GetParam(), comm, 0, mine, kTemperature);
    const Targets none{at::zeros({count + 1}, at::kLong), at::zeros({0}, at::kLong), at::zeros({0}, at::kDouble)};
    const at::Tensor h = normal({count, kWidth}, 3), w = at::zeros({count, kWidth}, at::kDouble);
    const HiddenResult result = term.value_and_gradients({h, none, w});
    EXPECT_TRUE(std::isfinite(result.loss));
    EXPECT_EQ(result.hidden_gradient_AD.size(0), count);
    EXPECT_TRUE(std::isfinite(result.asked_gradient_KD.sum().item<double>()));
  });
}

INSTANTIATE_TEST_SUITE_P(Terms, Contrast,
                         ::testing::Values(ContrastTerm::Kind::kUniformity, ContrastTerm::Kind::kContrastive),
                         [](const auto& term) {
                           return term.param == ContrastTerm::Kind::kUniformity ? "Uniformity" : "Contrastive";
                         });

}  // namespace contrast

}  // namespace
}  // namespace cllm
