#include "model/nn/fused/gated.h"

#include <ATen/ops/gelu.h>
#include <ATen/ops/linspace.h>
#include <ATen/ops/silu.h>

#include "tests/model/nn/fused/fused_support.h"

namespace cllm::gated_tests {
namespace {

using testing::Tensors;

TEST(Gated, IsTheActivationTimesTheOtherAndTheirGradients) {
  // From far below to far above zero, where the exponential is cut.
  const at::Tensor gate = at::linspace(-120, 120, 2400, at::kDouble).view({40, 60}), up = testing::normal({40, 60}, 1);
  for (const Gate kind : {Gate::kSilu, Gate::kGeluTanh}) {
    const auto fused = [&](const Tensors& in) -> Tensors { return {gated(in[0], in[1], kind)}; };
    const auto reference = [&](const Tensors& in) -> Tensors {
      return {(kind == Gate::kSilu ? at::silu(in[0]) : at::gelu(in[0], "tanh")) * in[1]};
    };
    testing::expect_same(fused, reference, {gate, up}, at::kDouble, 1e-13);
    testing::expect_same(fused, reference, {gate, up}, at::kFloat, 1e-6);
    testing::expect_same(fused, reference, {gate, up}, at::kBFloat16, 0x1p-7);
  }
}

}  // namespace
}  // namespace cllm::gated_tests
