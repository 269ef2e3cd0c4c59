#include "model/recommenders/cllm4rec/text/whiten.h"

#include <gtest/gtest.h>

#include <ATen/TensorOperators.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/sort.h>

#include "tests/model/tensors.h"

namespace cllm {
namespace {

namespace whitening {

using testing::gap;
using testing::normal;

at::Tensor some_vectors() {
  at::Tensor raw = at::mm(normal({40, 4}, 1), normal({4, 6}, 2)) + 3;  // four directions, and a mean
  raw[7].zero_();
  raw[20].zero_();
  return raw;
}

TEST(Whiten, VariancesAreAlikeDirectionsApartAndRowsWithoutTextStayZero) {
  for (const int64_t dims : {3, 9}) {  // 9: more than there are
    const at::Tensor white = Whitening::of(some_vectors(), dims).apply(some_vectors());
    EXPECT_EQ(white.sizes(), (at::IntArrayRef{40, dims}));
    EXPECT_EQ(white[7].abs().sum().item<double>() + white[20].abs().sum().item<double>(), 0);
    const int64_t real = std::min<int64_t>(dims, 4);
    const at::Tensor some = white.narrow(1, 0, real);
    EXPECT_LT(some.sum(0).abs().max().item<double>(), 1e-9);
    const at::Tensor want = at::eye(real, at::kDouble) * 38 / static_cast<double>(dims);
    EXPECT_LT(gap(at::mm(some.t(), some), want), 1e-9);
    EXPECT_EQ(white.narrow(1, real, dims - real).abs().sum().item<double>(), 0);
  }
}

TEST(Whiten, ShufflingDealsTheSameVectorsToOtherRowsOfTheRange) {
  const at::Tensor white = Whitening::of(some_vectors(), 3).apply(some_vectors()),
                   dealt = shuffled_rows(white, 10, 40, 5);
  EXPECT_LT(gap(dealt.narrow(0, 0, 10), white.narrow(0, 0, 10)), 1e-15);
  EXPECT_EQ(dealt[20].abs().sum().item<double>(), 0);
  const auto sorted = [](const at::Tensor& x) { return std::get<0>(at::sort(x.narrow(0, 10, 30).select(1, 0))); };
  EXPECT_EQ(gap(sorted(dealt), sorted(white)), 0);
  EXPECT_GT(gap(dealt, white), 1e-3);
  EXPECT_EQ(gap(dealt, shuffled_rows(white, 10, 40, 5)), 0);
}

}  // namespace whitening
}  // namespace
}  // namespace cllm
