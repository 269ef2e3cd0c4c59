#include <ATen/ops/arange.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randperm.h>

#include <gtest/gtest.h>

#include "model/kernels/cuda.h"
#include "model/kernels/rows.h"
#include "tests/gpu/test_device.h"

// Every rule against its CPU twin. Letters: N rows of the table, M touched rows, T contributions, D width.

namespace cllm {
namespace {

using namespace test;
namespace device = kernels::cuda;
using kernels::AdamCall;
using kernels::RowSegments;

constexpr AdamCall kCall{1e-2, 0.9, 0.999, 1e-8, 60};

/// A table in the middle of a training: rows have seen 0 .. step-1 updates, some none at all.
struct AdamState {
  at::Tensor weight, m, v, row_step;

  static AdamState random_state(int64_t N, int64_t D, at::ScalarType dtype) {
    AdamState state{random({N, D}, dtype), random({N, D}, dtype) * 0.1, random({N, D}, dtype).square() * 0.01,
                    at::randint(kCall.step, {N}, at::kInt)};
    state.row_step[0] = 0;
    state.m[0].zero_();
    state.v[0].zero_();
    return state;
  }
  AdamState on_device() const { return {to_device(weight), to_device(m), to_device(v), to_device(row_step)}; }
};

void expect_close(const AdamState& got, const AdamState& want, double tolerance) {
  EXPECT_LT(relative_error(got.weight, want.weight), tolerance);
  EXPECT_LT(relative_error(got.m, want.m), tolerance);
  EXPECT_LT(relative_error(got.v, want.v), tolerance);
  EXPECT_TRUE(same_bits(got.row_step, want.row_step));
}

at::Tensor some_rows(int64_t M, int64_t N) { return std::get<0>(at::randperm(N, at::kLong).narrow(0, 0, M).sort()); }

TEST(AdamOnDevice, UpdatesStaleRowsAsTheCpuTwin) {
  for (const at::ScalarType dtype : {at::kFloat, at::kDouble}) {
    for (const auto& [N, M, D] : {std::tuple{5, 0, 8}, {1, 1, 8}, {40, 17, 24}, {9, 9, 768}, {6, 3, 1032}}) {
      const AdamState start = AdamState::random_state(N, D, dtype);
      AdamState want = start, got = start.on_device();
      want.weight = start.weight.clone(), want.m = start.m.clone(), want.v = start.v.clone(),
      want.row_step = start.row_step.clone();
      const at::Tensor rows = some_rows(M, N), gradients = random({M, D}, dtype);
      kernels::adam_update(want.weight, want.m, want.v, want.row_step, {rows, gradients}, kCall);
      device::adam_update(got.weight, got.m, got.v, got.row_step, {to_device(rows), to_device(gradients)}, kCall);
      expect_close(got, want, dtype == at::kFloat ? 1e-6 : 1e-13);
    }
  }
}

TEST(AdamOnDevice, CatchesUpSomeRowsOrAllAsTheCpuTwin) {
  for (const int64_t step : {59, 60, 5000}) {
    for (const bool all : {true, false}) {
      const AdamState start = AdamState::random_state(21, 40, at::kFloat);
      AdamState want{start.weight.clone(), start.m.clone(), start.v.clone(), start.row_step.clone()},
          got = start.on_device();
      AdamCall call = kCall;
      call.step = step;
      const at::Tensor rows = all ? at::Tensor() : some_rows(6, 21);
      kernels::adam_catch_up(want.weight, want.m, want.v, want.row_step, rows, call);
      device::adam_catch_up(got.weight, got.m, got.v, got.row_step, all ? rows : to_device(rows), call);
      expect_close(got, want, 2e-6);
    }
  }
}

TEST(AdamOnDevice, LazyAdamMissesNothing) {
  const AdamState start = AdamState::random_state(12, 16, at::kFloat);
  AdamState want{start.weight.clone(), start.m.clone(), start.v.clone(), start.row_step.clone()},
      got = start.on_device();
  const at::Tensor rows = some_rows(5, 12), gradients = random({5, 16});
  kernels::adam_update(want.weight, want.m, want.v, {}, {rows, gradients}, kCall);
  device::adam_update(got.weight, got.m, got.v, {}, {to_device(rows), to_device(gradients)}, kCall);
  expect_close(got, want, 1e-6);
}

TEST(AdamOnDevice, SumsContributionsInTheSamePass) {
  const int64_t N = 50, M = 11, D = 24, T = 4000;
  const AdamState start = AdamState::random_state(N, D, at::kFloat);
  AdamState two_passes = start.on_device(), one_pass = start.on_device();
  const at::Tensor rows = to_device(some_rows(M, N)), values = to_device(random({T, D}));
  const at::Tensor row_of = at::randint(M - 1, {T}, at::kLong);  // the last touched row has no contribution
  row_of.narrow(0, 0, 2000).zero_();                             // the first is long
  const RowSegments segments = kernels::group_by_row(to_device(row_of), M);
  device::adam_update(two_passes.weight, two_passes.m, two_passes.v, two_passes.row_step,
                      {rows, device::segment_sum(values, segments)}, kCall);
  device::adam_update(one_pass.weight, one_pass.m, one_pass.v, one_pass.row_step, {rows, values, segments}, kCall);
  EXPECT_TRUE(same_bits(one_pass.weight, two_passes.weight));
  EXPECT_TRUE(same_bits(one_pass.m, two_passes.m));
  EXPECT_TRUE(same_bits(one_pass.v, two_passes.v));
}

/// A gradient with all its kinds of parts: rows without, with one and with many contributions, a head, a pull on some
/// rows.
kernels::RowGradient all_parts(int64_t N, int64_t M, int64_t D, at::ScalarType weights) {
  const at::ScalarType sums = weights == at::kDouble ? at::kDouble : at::kFloat;
  const int64_t T = 900;
  const at::Tensor row_of = at::randint(M - 1, {T}, at::kLong);
  row_of.narrow(0, 0, 400).fill_(M / 2);  // long; the last row has none
  return {.rows_M = some_rows(M, N),
          .parts_PD = random({T, D}, sums),
          .segments = kernels::group_by_row(row_of, M),
          .head_ID = random({M / 3, D}, sums),
          .fixed_ND = random({N, D}).to(weights),
          .pull_M = random({M}, sums).clamp_min(0),
          .sum_M = at::full({M}, NAN, sums)};
}

kernels::RowGradient on_device(const kernels::RowGradient& host) {
  const kernels::RowSegments& s = *host.segments;
  return {to_device(host.rows_M),
          to_device(host.parts_PD),
          kernels::RowSegments{to_device(s.order_T), to_device(s.offsets_M1), to_device(s.piece_begin_P),
                               to_device(s.piece_end_P), to_device(s.piece_offsets_M1)},
          to_device(host.head_ID),
          to_device(host.fixed_ND),
          to_device(host.pull_M),
          to_device(host.sum_M)};
}

TEST(RowUpdateOnDevice, SumsPartsHeadAndPullInOnePassAsTheCpuTwin) {
  for (const auto& [weights, tolerance] : {std::pair{at::kFloat, 2e-5}, {at::kDouble, 1e-12}}) {
    for (const int64_t D : {16, 768}) {
      const AdamState start = AdamState::random_state(20, D, weights);
      AdamState got = start.on_device();
      AdamState want{start.weight.clone(), start.m.clone(), start.v.clone(), start.row_step.clone()};
      const kernels::RowGradient here = all_parts(20, 7, D, weights), there = on_device(here);
      kernels::adam_update(want.weight, want.m, want.v, want.row_step, here, kCall);
      device::adam_update(got.weight, got.m, got.v, got.row_step, there, kCall);
      expect_close(got, want, tolerance);
      EXPECT_LT(relative_error(there.sum_M, here.sum_M), tolerance * 10);
    }
  }
}

TEST(RowUpdateOnDevice, SumsPartsHeadAndPullOfABfloat16Table) {
  const at::Tensor weight = random({20, 24}).to(at::kBFloat16);
  at::Tensor want = weight.clone(), got = to_device(weight);
  const kernels::RowGradient here = all_parts(20, 7, 24, at::kBFloat16), there = on_device(here);
  kernels::sgd_update(want, here, 0.5);
  device::sgd_update(got, there, 0.5);
  EXPECT_LT(relative_error(got, want), 0x1p-8);  // a sum in another order may round to the other side
  EXPECT_LT(relative_error(there.sum_M, here.sum_M), 1e-4);
  EXPECT_FALSE(same_bits(want, weight));
}

TEST(SquareGapsOnDevice, AreThoseOfTheCpuTwin) {
  for (const at::ScalarType dtype : {at::kFloat, at::kDouble, at::kBFloat16}) {
    for (const auto& [C, D] : {std::pair{0, 8}, {1, 8}, {9, 40}, {5, 768}, {3, 2048}}) {
      const at::Tensor a = random({12, D}).to(dtype), b = random({12, D}).to(dtype), rows = some_rows(C, 12);
      const at::Tensor want = kernels::square_gaps(a, b, rows);
      const at::Tensor got = kernels::square_gaps(to_device(a), to_device(b), to_device(rows));
      ASSERT_EQ(got.sizes(), want.sizes());
      EXPECT_LT(relative_error(got, want), dtype == at::kDouble ? 1e-13 : 1e-6);
    }
  }
}

TEST(RowwiseAdagradOnDevice, UpdatesAsTheCpuTwin) {
  for (const int64_t D : {8, 128, 768, 2048}) {
    const at::Tensor weight = random({14, D}), sum = random({14}).square(), rows = some_rows(9, 14),
                     gradients = random({9, D});
    at::Tensor want = weight.clone(), want_sum = sum.clone(), got = to_device(weight), got_sum = to_device(sum);
    kernels::rowwise_adagrad_update(want, want_sum, {rows, gradients}, 0.1, 1e-8);
    device::rowwise_adagrad_update(got, got_sum, {to_device(rows), to_device(gradients)}, 0.1, 1e-8);
    EXPECT_LT(relative_error(got, want), 1e-6);
    EXPECT_LT(relative_error(got_sum, want_sum), 1e-6);
  }
}

TEST(SgdOnDevice, UpdatesAsTheCpuTwin) {
  const at::Tensor weight = random({14, 72}), rows = some_rows(9, 14), gradients = random({9, 72});
  at::Tensor want = weight.clone(), got = to_device(weight);
  kernels::sgd_update(want, {rows, gradients}, 0.5);
  device::sgd_update(got, {to_device(rows), to_device(gradients)}, 0.5);
  EXPECT_LT(relative_error(got, want), 1e-7);
}

TEST(Bfloat16Table, RoundsToNearestOrStochasticallyWithoutBias) {
  const int64_t N = 64, D = 512;
  const at::Tensor start = at::ones({N, D}, at::kBFloat16), rows = to_device(at::arange(N, at::kLong));
  const at::Tensor gradients =
      to_device(at::full({N, D}, -0.25f));  // 1 + 0.25 * 2^-7: a quarter of the way to the next bf16
  const double rate = 0x1p-7;
  at::Tensor nearest = to_device(start), drawn = to_device(start), again = to_device(start), other = to_device(start);
  device::sgd_update(nearest, {rows, gradients}, rate);
  EXPECT_TRUE(same_bits(nearest, start));
  const auto draw = [&](at::Tensor& weight, uint64_t key) {
    device::sgd_update(weight, {rows, gradients}, rate, {.key = key});
  };
  draw(drawn, 7);
  draw(again, 7);
  draw(other, 8);
  EXPECT_TRUE(same_bits(drawn, again));
  EXPECT_FALSE(same_bits(drawn, other));
  const double up = (drawn.cpu().to(at::kFloat) > 1).to(at::kDouble).mean().item<double>();
  EXPECT_NEAR(up, 0.25, 0.01);  // 32,768 draws: standard deviation 0.0024
}

TEST(Bfloat16Table, DrawsAsTheCpuTwin) {
  const int64_t N = 20, D = 40;
  const at::Tensor weight = random({N, D}).to(at::kBFloat16), rows = some_rows(13, N), gradients = random({13, D});
  const kernels::Rounding rounding{.key = 11, .num_users = 9, .user_shift = 100, .item_shift = 5000};
  at::Tensor want = weight.clone(), got = to_device(weight);
  kernels::sgd_update(want, {rows, gradients}, 0x1p-9, rounding);
  device::sgd_update(got, {to_device(rows), to_device(gradients)}, 0x1p-9, rounding);
  const double equal = (got.cpu() == want).to(at::kDouble).mean().item<double>();
  EXPECT_GT(equal, 0.999);  // a fused multiply-add may move a sum across the edge of a draw
  EXPECT_FALSE(same_bits(want, weight));
}

/// Rows of bf16 tables are rounded once, so all but the few equal the CPU's in which a last bit of fp32 decides.
void expect_rounded_alike(const at::Tensor& got, const at::Tensor& want, const at::Tensor& before) {
  EXPECT_GT((got.cpu() == want).to(at::kDouble).mean().item<double>(), 0.995);
  EXPECT_LT(relative_error(got, want), 0x1p-8);
  EXPECT_FALSE(same_bits(want, before));
}

TEST(Bfloat16Table, AdamUpdatesAndCatchesUpAsTheCpuTwin) {
  for (const uint64_t key : {0, 11}) {  // to nearest, and drawn
    const kernels::Rounding rounding{.key = key, .num_users = 9, .user_shift = 100, .item_shift = 5000};
    AdamState start = AdamState::random_state(20, 40, at::kFloat);
    start.weight = start.weight.to(at::kBFloat16);
    AdamState got = start.on_device();
    AdamState want{start.weight.clone(), start.m.clone(), start.v.clone(), start.row_step.clone()};
    const at::Tensor rows = some_rows(13, 20), gradients = random({13, 40});
    kernels::adam_update(want.weight, want.m, want.v, want.row_step, {rows, gradients}, kCall, rounding);
    device::adam_update(got.weight, got.m, got.v, got.row_step, {to_device(rows), to_device(gradients)}, kCall,
                        rounding);
    expect_rounded_alike(got.weight, want.weight, start.weight);
    kernels::adam_catch_up(want.weight, want.m, want.v, want.row_step, {}, kCall, rounding);
    device::adam_catch_up(got.weight, got.m, got.v, got.row_step, {}, kCall, rounding);
    expect_rounded_alike(got.weight, want.weight, start.weight);
    EXPECT_LT(relative_error(got.m, want.m), 2e-6);
    EXPECT_LT(relative_error(got.v, want.v), 2e-6);
    EXPECT_TRUE(same_bits(got.row_step, want.row_step));
  }
}

TEST(Bfloat16Table, RowwiseAdagradUpdatesAsTheCpuTwin) {
  for (const uint64_t key : {0, 11}) {
    const kernels::Rounding rounding{.key = key, .num_users = 9, .user_shift = 100, .item_shift = 5000};
    const at::Tensor weight = random({14, 768}).to(at::kBFloat16), sum = random({14}).square(), rows = some_rows(9, 14),
                     gradients = random({9, 768});
    at::Tensor want = weight.clone(), want_sum = sum.clone(), got = to_device(weight), got_sum = to_device(sum);
    kernels::rowwise_adagrad_update(want, want_sum, {rows, gradients}, 0.1, 1e-8, rounding);
    device::rowwise_adagrad_update(got, got_sum, {to_device(rows), to_device(gradients)}, 0.1, 1e-8, rounding);
    expect_rounded_alike(got, want, weight);
    EXPECT_LT(relative_error(got_sum, want_sum), 1e-6);
  }
}

TEST(RowUpdateOnDevice, RefusesGradientsThatDoNotFit) {
  const at::Tensor weight = to_device(random({4, 8})), rows = to_device(at::arange(2, at::kLong));
  EXPECT_THROW(device::sgd_update(weight, {rows, to_device(random({3, 8}))}, 1), c10::Error);
  EXPECT_THROW(device::sgd_update(weight, {rows, to_device(random({2, 16}))}, 1), c10::Error);
  EXPECT_THROW(device::sgd_update(weight, {rows, to_device(random({2, 8}, at::kDouble))}, 1), c10::Error);
  kernels::RowGradient gradient{rows, to_device(random({2, 8}))};
  gradient.head_ID = to_device(random({3, 8}));
  EXPECT_THROW(device::sgd_update(weight, gradient, 1), c10::Error);
  gradient.head_ID = at::Tensor();
  gradient.fixed_ND = weight;
  EXPECT_THROW(device::sgd_update(weight, gradient, 1), c10::Error);
}

}  // namespace
}  // namespace cllm
