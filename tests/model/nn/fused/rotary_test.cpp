#include "model/nn/fused/rotary.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/rsqrt.h>

#include "tests/model/nn/fused/fused_support.h"

namespace cllm::rotary_tests {
namespace {

using testing::normal, testing::Tensors;

/// By complex numbers: (first + i second) e^(i angle).
at::Tensor by_formula(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& angles, bool offset) {
  at::Tensor heads = x.view({x.size(0), -1, 2 * angles.size(1)});
  if (weight.defined())
    heads = heads * at::rsqrt(heads.square().mean(-1, true) + 1e-6) * (offset ? weight + 1 : weight);
  const auto halves = heads.chunk(2, 2);
  const at::Tensor cos = angles.cos().unsqueeze(1), sin = angles.sin().unsqueeze(1);
  return at::cat({halves[0] * cos - halves[1] * sin, halves[0] * sin + halves[1] * cos}, 2).view(x.sizes());
}

TEST(NormAndRotate, IsTheFormulaAndItsGradientsWithAndWithoutANorm) {
  const at::Tensor angles = normal({11, 8}, 1), x = normal({11, 3 * 16}, 2), weight = normal({16}, 3);
  for (const auto& [dtype, tolerance] : {std::pair{at::kDouble, 1e-13}, std::pair{at::kFloat, 2e-6}}) {
    const at::ScalarType to = dtype;
    const Angles rotation{angles.cos().to(to), angles.sin().to(to)};
    testing::expect_same([&](const Tensors& in) -> Tensors { return {norm_and_rotate(in[0], {}, rotation)}; },
                         [&](const Tensors& in) -> Tensors { return {by_formula(in[0], {}, angles, false)}; }, {x}, to,
                         tolerance);
    for (const bool offset : {false, true}) {
      testing::expect_same(
          [&](const Tensors& in) -> Tensors {
            return {norm_and_rotate(in[0], {in[1], 1e-6, offset}, rotation)};
          },
          [&](const Tensors& in) -> Tensors { return {by_formula(in[0], in[1], angles, offset)}; }, {x, weight}, to,
          tolerance);
    }
  }
}

}  // namespace
}  // namespace cllm::rotary_tests
