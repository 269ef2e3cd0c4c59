#include "model/nn/fused/rms_norm.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/rsqrt.h>

#include "tests/model/nn/fused/fused_support.h"

namespace cllm::rms_norm_tests {
namespace {

using testing::normal, testing::Tensors;

at::Tensor by_formula(const at::Tensor& x, const at::Tensor& w, bool offset) {
  return x * at::rsqrt(x.square().mean(-1, true) + 1e-5) * (offset ? w + 1 : w);
}

void check(bool post, bool offset, const DropoutSite& site, at::ScalarType dtype, double tolerance) {
  const auto norm = [&](const at::Tensor& w) { return RmsNorm{w, 1e-5, offset}; };
  const auto fused = [&](const Tensors& in) -> Tensors {
    const auto [sum, normed] = add_and_rms_norm(in[0], in[1], post ? norm(in[3]) : RmsNorm{}, norm(in[2]), site);
    return {sum, normed};
  };
  const auto reference = [&](const Tensors& in) -> Tensors {
    const at::Tensor sum = in[0] + dropout(post ? by_formula(in[1], in[3], offset) : in[1], site);
    return {sum, by_formula(sum, in[2], offset)};
  };
  Tensors inputs{normal({37, 40}, 1), normal({37, 40}, 2), normal({40}, 3)};
  if (post) inputs.push_back(normal({40}, 4));
  testing::expect_same(fused, reference, inputs, dtype, tolerance);
}

TEST(AddAndRmsNorm, IsTheFormulaAndItsGradients) {
  const DropoutSite site{at::arange(37, at::kLong), 0.3, 7};
  for (const bool post : {false, true}) {
    for (const bool offset : {false, true}) {
      for (const DropoutSite& dropout : {DropoutSite{}, site}) {
        check(post, offset, dropout, at::kDouble, 1e-13);
        check(post, offset, dropout, at::kFloat, 2e-6);
      }
    }
  }
}

TEST(AddAndRmsNorm, GoesOnWithTheGradientOfOneOutputAlone) {
  for (const size_t which : {0u, 1u}) {
    const auto one = [&](const at::Tensor& sum, const at::Tensor& normed) { return which == 0 ? sum : normed; };
    testing::expect_same(
        [&](const Tensors& in) -> Tensors {
          const auto [sum, normed] = add_and_rms_norm(in[0], in[1], {in[2], 1e-5}, {in[3], 1e-5}, {});
          // Gradients of all inputs are compared: the weight of the next norm takes part by itself.
          return {one(sum, normed) + in[3] * 0};
        },
        [&](const Tensors& in) -> Tensors {
          const at::Tensor sum = in[0] + by_formula(in[1], in[2], false);
          return {one(sum, by_formula(sum, in[3], false)) + in[3] * 0};
        },
        {normal({5, 24}, 1), normal({5, 24}, 2), normal({24}, 3), normal({24}, 4)}, at::kDouble, 1e-13);
  }
}

TEST(RmsNorm, OfAnyShapeAndRoundedToTheComputeDtype) {
  const at::Tensor x = normal({3, 4, 16}, 1), w = normal({16}, 2);
  testing::expect_same(
      [](const Tensors& in) -> Tensors {
        return {rms_norm(in[0], {in[1], 1e-5}, at::kDouble)};
      },
      [](const Tensors& in) -> Tensors { return {by_formula(in[0], in[1], false)}; }, {x, w}, at::kDouble, 1e-13);
  const at::Tensor rounded = rms_norm(x.to(at::kFloat), {w.to(at::kFloat), 1e-5}, at::kBFloat16);
  EXPECT_EQ(rounded.scalar_type(), at::kBFloat16);
  EXPECT_LE(testing::gap(rounded, by_formula(x, w, false)), 0x1p-7 * 3);
}

}  // namespace
}  // namespace cllm::rms_norm_tests
