#include <ATen/ops/arange.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randperm.h>

#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "model/kernels/rows/cuda.h"
#include "model/kernels/rows/rows.h"
#include "tests/gpu/test_device.h"

// Every rule against its CPU twin. Letters: N rows of the table, M touched rows, T contributions, D width.

namespace cllm {
namespace {

using namespace test;
namespace device = kernels::cuda;
using kernels::RowCall;
using kernels::RowRule;
using kernels::RowSegments;
using kernels::RowTensors;

constexpr RowCall kCall{1e-2, 0.9, 0.999, 1e-8, 60};

const RowRule& rule_named(const char* name) { return *kernels::find_row_rule(name); }

/// A table in the middle of a training: rows have seen 0 .. step-1 updates, some none at all.
RowTensors random_table(const RowRule& rule, int64_t N, int64_t D, at::ScalarType weights) {
  const at::ScalarType dtype = weights == at::kDouble ? at::kDouble : at::kFloat;
  RowTensors table{random({N, D}, dtype).to(weights), {}, at::randint(kCall.step, {N}, at::kInt)};
  table.row_step[0] = 0;
  for (const kernels::StateSpec& spec : rule.state) {
    const bool signed_ = std::string_view(spec.name) == "moment1";
    const at::Tensor drawn = spec.per_row ? random({N}, dtype) : random({N, D}, dtype);
    table.state.push_back(signed_ ? drawn * 0.1 : drawn.square() * 0.01);
    table.state.back()[0].zero_();
  }
  return table;
}

RowTensors mapped(const RowTensors& table, const std::function<at::Tensor(const at::Tensor&)>& f) {
  RowTensors out{f(table.weight), {}, f(table.row_step)};
  for (const at::Tensor& state : table.state) out.state.push_back(f(state));
  return out;
}
RowTensors copied(const RowTensors& table) {
  return mapped(table, [](const at::Tensor& x) { return x.clone(); });
}
RowTensors on_device(const RowTensors& table) {
  return mapped(table, [](const at::Tensor& x) { return to_device(x); });
}

void expect_state_close(const RowTensors& got, const RowTensors& want, double tolerance, const std::string& what) {
  for (size_t n = 0; n < want.state.size(); ++n) {
    EXPECT_LT(relative_error(got.state[n], want.state[n]), tolerance) << what << ", state " << n;
  }
  EXPECT_TRUE(same_bits(got.row_step, want.row_step)) << what;
}
void expect_close(const RowTensors& got, const RowTensors& want, double tolerance, const std::string& what = "") {
  EXPECT_LT(relative_error(got.weight, want.weight), tolerance) << what;
  expect_state_close(got, want, tolerance, what);
}

at::Tensor some_rows(int64_t M, int64_t N) { return std::get<0>(at::randperm(N, at::kLong).narrow(0, 0, M).sort()); }

TEST(RowRulesOnDevice, UpdateAsTheirCpuTwins) {
  for (const RowRule& rule : kernels::row_rules()) {
    for (const at::ScalarType dtype : {at::kFloat, at::kDouble}) {
      for (const auto& [N, M, D] : {std::tuple{5, 0, 8}, {1, 1, 8}, {40, 17, 24}, {9, 9, 768}, {14, 9, 2048}}) {
        const RowTensors start = random_table(rule, N, D, dtype);
        const RowTensors want = copied(start), got = on_device(start);
        const at::Tensor rows = some_rows(M, N), gradients = random({M, D}, dtype);
        kernels::update_rows(rule, want, {rows, gradients}, kCall);
        kernels::update_rows(rule, got, {to_device(rows), to_device(gradients)}, kCall);
        expect_close(got, want, dtype == at::kFloat ? 1e-6 : 1e-13, std::string(rule.name));
        EXPECT_EQ(same_bits(want.weight, start.weight), M == 0) << rule.name;
      }
    }
  }
}

TEST(RowRulesOnDevice, CatchUpSomeRowsOrAllAsTheirCpuTwins) {
  for (const RowRule& rule : kernels::row_rules()) {
    if (!rule.moves_absent_rows) continue;
    for (const int64_t step : {59, 60, 5000}) {
      for (const bool all : {true, false}) {
        const RowTensors start = random_table(rule, 21, 40, at::kFloat);
        const RowTensors want = copied(start), got = on_device(start);
        RowCall call = kCall;
        call.step = step;
        const at::Tensor rows = all ? at::Tensor() : some_rows(6, 21);
        kernels::catch_up_rows(rule, want, rows, call);
        kernels::catch_up_rows(rule, got, all ? rows : to_device(rows), call);
        expect_close(got, want, 2e-6, std::string(rule.name));
      }
    }
  }
}

TEST(RowRulesOnDevice, SumContributionsInTheSamePass) {
  const int64_t N = 50, M = 11, D = 24, T = 4000;
  const RowRule& rule = rule_named("adam");
  const RowTensors start = random_table(rule, N, D, at::kFloat);
  const RowTensors two_passes = on_device(start), one_pass = on_device(start);
  const at::Tensor rows = to_device(some_rows(M, N)), values = to_device(random({T, D}));
  const at::Tensor row_of = at::randint(M - 1, {T}, at::kLong);  // the last touched row has no contribution
  row_of.narrow(0, 0, 2000).zero_();                             // the first is long
  const RowSegments segments = kernels::group_by_row(to_device(row_of), M);
  device::update_rows(rule, two_passes, {rows, device::segment_sum(values, segments)}, kCall);
  device::update_rows(rule, one_pass, {rows, values, segments}, kCall);
  EXPECT_TRUE(same_bits(one_pass.weight, two_passes.weight));
  for (size_t n = 0; n < start.state.size(); ++n) EXPECT_TRUE(same_bits(one_pass.state[n], two_passes.state[n]));
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
  for (const RowRule& rule : kernels::row_rules()) {
    for (const auto& [weights, tolerance] : {std::pair{at::kFloat, 2e-5}, {at::kDouble, 1e-12}}) {
      for (const int64_t D : {16, 768}) {
        const RowTensors start = random_table(rule, 20, D, weights);
        const RowTensors want = copied(start), got = on_device(start);
        const kernels::RowGradient here = all_parts(20, 7, D, weights), there = on_device(here);
        kernels::update_rows(rule, want, here, kCall);
        device::update_rows(rule, got, there, kCall);
        expect_close(got, want, tolerance, std::string(rule.name));
        EXPECT_LT(relative_error(there.sum_M, here.sum_M), tolerance * 10);
      }
    }
  }
}

TEST(RowUpdateOnDevice, SumsPartsHeadAndPullOfABfloat16Table) {
  const RowRule& rule = rule_named("sgd");
  RowCall call = kCall;
  call.learning_rate = 0.5;
  const RowTensors start = random_table(rule, 20, 24, at::kBFloat16);
  const RowTensors want = copied(start), got = on_device(start);
  const kernels::RowGradient here = all_parts(20, 7, 24, at::kBFloat16), there = on_device(here);
  kernels::update_rows(rule, want, here, call);
  device::update_rows(rule, got, there, call);
  EXPECT_LT(relative_error(got.weight, want.weight), 0x1p-8);  // a sum in another order may round to the other side
  EXPECT_LT(relative_error(there.sum_M, here.sum_M), 1e-4);
  EXPECT_FALSE(same_bits(want.weight, start.weight));
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

void sgd_on_device(const at::Tensor& weight, const kernels::RowGradient& gradient, double rate,
                   const kernels::Rounding& rounding = {}) {
  device::update_rows(rule_named("sgd"), {weight, {}}, gradient, {rate, 0, 0, 0, 1}, rounding);
}

TEST(Bfloat16Table, RoundsToNearestOrStochasticallyWithoutBias) {
  const int64_t N = 64, D = 512;
  const at::Tensor start = at::ones({N, D}, at::kBFloat16), rows = to_device(at::arange(N, at::kLong));
  const at::Tensor gradients =
      to_device(at::full({N, D}, -0.25f));  // 1 + 0.25 * 2^-7: a quarter of the way to the next bf16
  const double rate = 0x1p-7;
  at::Tensor nearest = to_device(start), drawn = to_device(start), again = to_device(start), other = to_device(start);
  sgd_on_device(nearest, {rows, gradients}, rate);
  EXPECT_TRUE(same_bits(nearest, start));
  const auto draw = [&](at::Tensor& weight, uint64_t key) {
    sgd_on_device(weight, {rows, gradients}, rate, {.key = key});
  };
  draw(drawn, 7);
  draw(again, 7);
  draw(other, 8);
  EXPECT_TRUE(same_bits(drawn, again));
  EXPECT_FALSE(same_bits(drawn, other));
  const double up = (drawn.cpu().to(at::kFloat) > 1).to(at::kDouble).mean().item<double>();
  EXPECT_NEAR(up, 0.25, 0.01);  // 32,768 draws: standard deviation 0.0024
}

/// Rows of bf16 tables are rounded once, so all but the few equal the CPU's in which a last bit of fp32 (a fused
/// multiply-add) decides.
void expect_rounded_alike(const at::Tensor& got, const at::Tensor& want, const at::Tensor& before,
                          const std::string& what) {
  EXPECT_GT((got.cpu() == want).to(at::kDouble).mean().item<double>(), 0.995) << what;
  EXPECT_LT(relative_error(got, want), 0x1p-8) << what;
  EXPECT_FALSE(same_bits(want, before)) << what;
}

TEST(Bfloat16Table, UpdatesAndCatchesUpAsTheCpuTwin) {
  for (const RowRule& rule : kernels::row_rules()) {
    for (const auto& [key, D] : {std::pair{0, 40}, {11, 40}, {11, 768}}) {  // to nearest, and drawn
      const std::string what(rule.name);
      const kernels::Rounding rounding{
          .key = static_cast<uint64_t>(key), .first = {0, 9, 12, kernels::Rounding::kNone}, .shift = {100, 5000, 70}};
      const RowTensors start = random_table(rule, 20, D, at::kBFloat16);
      const RowTensors want = copied(start), got = on_device(start);
      const at::Tensor rows = some_rows(13, 20), gradients = random({13, D});
      kernels::update_rows(rule, want, {rows, gradients}, kCall, rounding);
      device::update_rows(rule, got, {to_device(rows), to_device(gradients)}, kCall, rounding);
      expect_rounded_alike(got.weight, want.weight, start.weight, what);
      if (rule.moves_absent_rows) {
        kernels::catch_up_rows(rule, want, {}, kCall, rounding);
        device::catch_up_rows(rule, got, {}, kCall, rounding);
        expect_rounded_alike(got.weight, want.weight, start.weight, what);
      }
      expect_state_close(got, want, 2e-6, what);
    }
  }
}

TEST(RowUpdateOnDevice, RefusesGradientsThatDoNotFit) {
  const at::Tensor weight = to_device(random({4, 8})), rows = to_device(at::arange(2, at::kLong));
  EXPECT_THROW(sgd_on_device(weight, {rows, to_device(random({3, 8}))}, 1), c10::Error);
  EXPECT_THROW(sgd_on_device(weight, {rows, to_device(random({2, 16}))}, 1), c10::Error);
  EXPECT_THROW(sgd_on_device(weight, {rows, to_device(random({2, 8}, at::kDouble))}, 1), c10::Error);
  kernels::RowGradient gradient{rows, to_device(random({2, 8}))};
  gradient.head_ID = to_device(random({3, 8}));
  EXPECT_THROW(sgd_on_device(weight, gradient, 1), c10::Error);
  gradient.head_ID = at::Tensor();
  gradient.fixed_ND = weight;
  EXPECT_THROW(sgd_on_device(weight, gradient, 1), c10::Error);
}

TEST(RowUpdateOnDevice, RefusesStateThatDoesNotFit) {
  const at::Tensor weight = to_device(random({4, 8})), rows = to_device(at::arange(2, at::kLong));
  const kernels::RowGradient gradient{rows, to_device(random({2, 8}))};
  const RowRule& rule = rule_named("lazy_adam");
  const at::Tensor fits = to_device(random({4, 8}));
  EXPECT_THROW(device::update_rows(rule, {weight, {fits}}, gradient, kCall), c10::Error);
  EXPECT_THROW(device::update_rows(rule, {weight, {fits, to_device(random({4}))}}, gradient, kCall), c10::Error);
  EXPECT_THROW(device::update_rows(rule, {weight, {fits, random({4, 8})}}, gradient, kCall), c10::Error);
  EXPECT_THROW(device::update_rows(rule_named("adam"), {weight, {fits, fits.clone()}}, gradient, kCall), c10::Error);
  EXPECT_THROW(kernels::catch_up_rows(rule, {weight, {fits, fits.clone()}}, rows, kCall), c10::Error);
}

}  // namespace
}  // namespace cllm
