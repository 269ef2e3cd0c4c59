#include "model/softmax_head.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/zeros.h>

#include <gtest/gtest.h>

#include <cmath>

#include "model/products.h"
#include "model/sampled_softmax.h"
#include "tests/gpu/test_device.h"

// The heads on a device against the CPU's in fp64, which tests/model/softmax compares with the formulas. Letters: A positions, K targets,
// V rows of a head, S negatives, D width.

namespace cllm {
namespace {

using namespace test;

struct HeadProblem {
  at::Tensor hidden_AD, head_VD;
  Targets targets;
};

/// A positions with 0, 1 or 2 targets in turn; logits of a few units.
HeadProblem head_problem(int64_t A, int64_t V, int64_t D) {
  at::Tensor counts_A = at::arange(A, at::kLong).remainder(3);
  const at::Tensor offsets_A1 = at::cat({at::zeros({1}, at::kLong), counts_A.cumsum(0)});
  const int64_t K = offsets_A1[A].item<int64_t>();
  return {random({A, D}), random({V, D}) * 0.4, {offsets_A1, at::randint(V, {K}, at::kLong), at::rand({K}, at::kDouble)}};
}

Targets on_device(const Targets& targets) {
  return {to_device(targets.offsets_A1), to_device(targets.ids_K), to_device(targets.weights_K)};
}

at::Tensor exact(const at::Tensor& tensor) { return tensor.to(at::kDouble); }

TEST(ProductsOnDevice, OfBfloat16MatricesLeaveTheMultiplierInFp32) {
  const at::Tensor a = random({33, 40}, at::kBFloat16), b = random({40, 24}, at::kBFloat16), start = random({33, 24});
  const at::Tensor want = at::mm(exact(a), exact(b));
  const at::Tensor got = product(to_device(a), to_device(b));
  EXPECT_EQ(got.scalar_type(), at::kFloat);
  EXPECT_LT(relative_error(got, want), 1e-6);
  at::Tensor sum = to_device(start);
  add_product(sum, to_device(a), to_device(b));
  EXPECT_LT(relative_error(sum, exact(start) + want), 1e-6);
}

struct SampledCase {
  at::ScalarType dtype;
  double loss, gradients;  // tolerances
};

/// Reads what a device of this precision reads, but in fp64 on the CPU.
SampledResult sampled_in_fp64(const HeadProblem& p, const SampledRows& rows, at::ScalarType dtype) {
  return sampled_softmax(exact(p.hidden_AD.to(dtype)),
                         {rows.items_S, exact(rows.negatives_SD.to(dtype)), exact(rows.targets_KD.to(dtype)), rows.log_expected},
                         p.targets);
}

TEST(SampledSoftmaxOnDevice, IsTheCpusInFp64) {
  // In bf16 the probabilities are rounded before they are multiplied; logits and sums are not.
  for (const SampledCase& c : {SampledCase{at::kDouble, 1e-13, 1e-12}, {at::kFloat, 1e-6, 1e-5}, {at::kBFloat16, 1e-6, 5e-3}}) {
    SCOPED_TRACE(c.dtype);
    const HeadProblem p = head_problem(50, 301, 24);
    const at::Tensor items_S = at::cat({at::randint(301, {37}, at::kLong), p.targets.ids_K.narrow(0, 0, 4)});
    const SampledRows rows{items_S, p.head_VD.index_select(0, items_S), p.head_VD.index_select(0, p.targets.ids_K),
                           std::log(41.0 / 301)};
    const at::ScalarType table = c.dtype == at::kDouble ? at::kDouble : at::kFloat;
    const SampledResult want = sampled_in_fp64(p, rows, c.dtype);
    const SampledResult got = sampled_softmax(
        to_device(p.hidden_AD.to(c.dtype)),
        {to_device(items_S), to_device(rows.negatives_SD.to(table)), to_device(rows.targets_KD.to(table)), rows.log_expected},
        on_device(p.targets));
    EXPECT_NEAR(got.loss, want.loss, c.loss * want.loss);
    EXPECT_EQ(got.hidden_gradient.scalar_type(), c.dtype);
    EXPECT_EQ(got.negative_gradient.scalar_type(), table);
    EXPECT_LT(relative_error(got.hidden_gradient, want.hidden_gradient), c.gradients);
    EXPECT_LT(relative_error(got.negative_gradient, want.negative_gradient), c.gradients);
    EXPECT_LT(relative_error(got.target_gradient, want.target_gradient), c.gradients);
  }
}

}  // namespace
}  // namespace cllm
