#include "model/step/non_finite.h"

#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <gtest/gtest.h>

#include <limits>

namespace cllm {
namespace {

namespace places {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

at::Tensor good() { return at::ones({2, 2}, at::kDouble); }
at::Tensor bad() { return at::full({2, 2}, kNan, at::kDouble); }

TEST(NonFinite, TheFirstPlaceInTheOrderOfTheStepIsNamed) {
  const SeenNumbers fine{1, 1, true, 1}, lost{kNan, 1, true, 1};
  EXPECT_EQ(first_non_finite({bad(), bad(), bad(), bad()}, fine), NonFinite::kNone);  // nobody looks
  EXPECT_EQ(first_non_finite({bad(), good(), bad(), bad()}, lost), NonFinite::kTableRows);
  EXPECT_EQ(first_non_finite({good(), bad(), bad(), bad()}, lost), NonFinite::kTableRows);
  EXPECT_EQ(first_non_finite({good(), good(), bad(), bad()}, lost), NonFinite::kInputRows);
  EXPECT_EQ(first_non_finite({good(), good(), good(), bad()}, lost), NonFinite::kHiddenStates);
  EXPECT_EQ(first_non_finite({good(), good(), good(), good()}, lost), NonFinite::kLoss);
  EXPECT_EQ(first_non_finite({good(), good(), good(), good()}, {1, kNan, true, 1}), NonFinite::kInputGradients);
  EXPECT_EQ(first_non_finite({good(), good(), good(), good()}, {1, 1, false, 1}), NonFinite::kBackboneGradients);
  EXPECT_EQ(first_non_finite({good(), good(), good(), good()}, {1, 1, true, kNan}), NonFinite::kRowGradients);
}

}  // namespace places
}  // namespace
}  // namespace cllm
