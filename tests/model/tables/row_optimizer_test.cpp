#include "model/tables/row_optimizer.h"

#include <gtest/gtest.h>

#include <ATen/TensorOperators.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <cmath>
#include <functional>
#include <optional>
#include <string>

#include "data/random.h"
#include "model/errors.h"
#include "model/kernels/rows/row_segments.h"
#include "tests/model/tensors.h"
#include "tests/support/gradient_sum.h"

namespace cllm {
namespace {

using testing::gap;
using testing::normal;

constexpr int64_t kRows = 9, kWidth = 21;
constexpr double kRate = 1e-2;

Table random_table(at::ScalarType dtype) {
  return make_random_table(RowLayout(5, 4, 0, 1), kWidth, dtype, /*seed=*/3, Side::kCollaborative);
}

std::vector<std::string> names_of_rules(std::optional<bool> move_absent_rows = {}) {
  std::vector<std::string> out;
  for (const kernels::RowRule& rule : kernels::row_rules()) {
    if (!move_absent_rows || rule.moves_absent_rows == *move_absent_rows) out.emplace_back(rule.name);
  }
  return out;
}

/// Adam on every row at every step (Kingma & Ba 2015, algorithm 1): what skip-aware Adam must equal.
struct DenseRows {
  at::Tensor w, m, v;
  int64_t step = 0;
  void update(const at::Tensor& gradients, double rate) {
    ++step;
    m += 0.1 * (gradients - m);
    v = 0.999 * v + 0.001 * gradients * gradients;
    const double t = static_cast<double>(step);
    w -= rate / (1 - std::pow(0.9, t)) * m / (v.sqrt() / std::sqrt(1 - std::pow(0.999, t)) + 1e-8);
  }
};

/// Runs both on the same random steps. A row is touched with probability 1/4; row 0 only at first and last, row 8
/// never.
void expect_dense_semantics(at::ScalarType dtype, int64_t num_steps, double tolerance,
                            const std::function<double(int64_t)>& rate) {
  Table table = random_table(dtype);
  DenseRows dense{table.weight.to(at::kDouble, false, true), at::zeros({kRows, kWidth}, at::kDouble),
                  at::zeros({kRows, kWidth}, at::kDouble)};
  const auto optimizer = make_row_optimizer({});
  optimizer->reset(table);
  CounterRng random(7);
  for (int64_t step = 0; step < num_steps; ++step) {
    std::vector<int64_t> rows;
    for (int64_t row = 0; row < kRows - 1; ++row) {
      const bool touched = row == 0 ? step == 0 || step + 1 == num_steps : random.below(4) == 0;
      if (touched) rows.push_back(row);
    }
    const at::Tensor rows_M = at::tensor(rows, at::kLong);
    const at::Tensor gradients =
        normal({static_cast<int64_t>(rows.size()), kWidth}, static_cast<uint64_t>(step)).to(dtype);
    dense.update(at::zeros({kRows, kWidth}, at::kDouble).index_copy_(0, rows_M, gradients.to(at::kDouble)), rate(step));
    optimizer->update(table, {rows_M, gradients}, rate(step));
    optimizer->catch_up(table, at::tensor({1, 4}, at::kLong));
    EXPECT_LE(gap(table.weight.narrow(0, 4, 1), dense.w.narrow(0, 4, 1)), tolerance) << "step " << step;
  }
  optimizer->flush(table);
  EXPECT_LE(gap(table.weight, dense.w), tolerance);
  EXPECT_LE(gap(table.state_of("moment1"), dense.m), tolerance);
  EXPECT_LE(gap(table.state_of("moment2"), dense.v), tolerance);
}

TEST(SkipAwareAdam, EqualsDenseAdam) {
  expect_dense_semantics(at::kDouble, 60, 1e-13, [](int64_t) { return kRate; });
  expect_dense_semantics(at::kFloat, 60, 1e-6, [](int64_t) { return kRate; });
}

TEST(SkipAwareAdam, EqualsDenseAdamWhenTheLearningRateChanges) {
  expect_dense_semantics(at::kDouble, 40, 1e-13, [](int64_t step) { return step < 20 ? kRate : kRate / 10; });
}

TEST(SkipAwareAdam, ClosesAGapOfThousandsOfUpdatesAsDenseAdamWould) {
  Table table = random_table(at::kDouble);
  DenseRows dense{table.weight.clone(), at::zeros({kRows, kWidth}, at::kDouble),
                  at::zeros({kRows, kWidth}, at::kDouble)};
  const auto optimizer = make_row_optimizer({});
  optimizer->reset(table);
  const at::Tensor all = at::arange(kRows, at::kLong), first = normal({kRows, kWidth}, 1),
                   nothing = at::zeros({kRows, kWidth}, at::kDouble);
  optimizer->update(table, {all, first}, kRate);
  dense.update(first, kRate);
  const at::Tensor last_row = at::tensor({kRows - 1}, at::kLong);
  for (int step = 0; step < 3000; ++step) {
    optimizer->update(table, {last_row, nothing.narrow(0, 0, 1)}, kRate);
    dense.update(nothing, kRate);
  }
  optimizer->flush(table);
  EXPECT_LE(gap(table.weight, dense.w), 1e-14);
  EXPECT_LE(gap(table.state_of("moment1"), dense.m), 1e-14);
  EXPECT_LE(gap(table.state_of("moment2") / dense.v, at::ones_like(dense.v)), 1e-11);
}

TEST(SkipAwareAdam, MarksOnlyTheRowsThatItTouches) {
  Table table = random_table(at::kFloat);
  const auto optimizer = make_row_optimizer({});
  optimizer->reset(table);
  const at::Tensor before = table.weight.clone();
  for (int step = 0; step < 5; ++step)
    optimizer->update(table, {at::tensor({2, 6}, at::kLong), at::ones({2, kWidth}, at::kFloat)}, kRate);
  EXPECT_TRUE(at::equal(table.row_step, at::tensor({0, 0, 5, 0, 0, 0, 5, 0, 0}, at::kInt)));
  optimizer->catch_up(table, at::tensor({3}, at::kLong));
  EXPECT_EQ(table.row_step[3].item<int>(), 5);
  EXPECT_TRUE(at::equal(table.weight[3], before[3])) << "a row that never had a gradient does not move";
}

TEST(RowOptimizers, OtherAlgorithmsLeaveAbsentRowsAlone) {
  for (const std::string& name : names_of_rules(/*move_absent_rows=*/false)) {
    Table table = random_table(at::kDouble);
    const auto optimizer = make_row_optimizer({.name = name});
    optimizer->reset(table);
    const at::Tensor before = table.weight.clone(), rows = at::tensor({1, 7}, at::kLong);
    for (int step = 0; step < 3; ++step) optimizer->update(table, {rows, normal({2, kWidth}, 5)}, kRate);
    optimizer->flush(table);
    const at::Tensor moved = (table.weight - before).abs().amax(1);
    for (int64_t row = 0; row < kRows; ++row)
      EXPECT_EQ(moved[row].item<double>() > 0, row == 1 || row == 7) << name << " row " << row;
  }
}

TEST(RowOptimizers, SumThePartsOfAGradientWhileTheyUpdate) {
  for (const std::string& name : names_of_rules()) {
    Table parts = make_random_table(RowLayout(6, 5, 0, 1), kWidth, at::kDouble, 3, Side::kContent), whole = parts;
    const Table other = make_random_table(RowLayout(6, 5, 0, 1), kWidth, at::kDouble, 4, Side::kCollaborative);
    whole.weight = parts.weight.clone();
    OptimizerConfig config;
    config.name = name;
    const auto optimizer = make_row_optimizer(config);
    for (Table* each : {&parts, &whole}) optimizer->reset(*each);
    for (uint64_t step = 0; step < 4; ++step) {
      kernels::RowGradient gradient{.rows_M = at::tensor({0, 3, 6, 8, 10}, at::kLong),
                                    .parts_PD = normal({7, kWidth}, step).to(at::kDouble),
                                    .segments = kernels::group_by_row(at::tensor({3, 0, 0, 1, 3, 0, 3}, at::kLong), 5),
                                    .head_ID = normal({3, kWidth}, step + 90).to(at::kDouble),
                                    .fixed_ND = other.weight,
                                    .pull_M = at::tensor({0., .5, 0., .1, 2.}, at::kDouble),
                                    .sum_M = at::zeros({5}, at::kDouble)};
      const at::Tensor sum_MD = testing::gradient_sum(gradient, parts.weight);
      optimizer->update(whole, {gradient.rows_M, sum_MD}, kRate);
      optimizer->update(parts, gradient, kRate);
      EXPECT_TRUE(at::allclose(parts.weight, whole.weight, 0, 1e-14)) << name << ", step " << step;
      EXPECT_TRUE(at::allclose(gradient.sum_M, sum_MD.sum(1), 0, 1e-12)) << name;
    }
  }
}

TEST(RowOptimizers, AnUnknownNameIsRefusedWithTheKnownOnes) {
  OptimizerConfig config;
  config.name = "adamw";
  try {
    make_row_optimizer(config);
    FAIL();
  } catch (const ModelError& error) {
    EXPECT_NE(std::string(error.what()).find("\"adamw\" is unknown: choose adam, lazy_adam"), std::string::npos)
        << error.what();
  }
}

/// A table in bf16 of (rank, world_size), whose rows have been updated `num_steps` times by gradients that are a
/// function of the row.
at::Tensor bf16_rows_after(const std::string& name, int rank, int world_size, int64_t num_steps) {
  Table table = make_random_table(RowLayout(7, 5, rank, world_size), kWidth, at::kFloat, 11, Side::kContent);
  round_to_bf16(table);
  OptimizerConfig config;
  config.name = name;
  const auto optimizer = make_row_optimizer(config);
  optimizer->reset(table);
  for (int64_t step = 0; step < num_steps; ++step) {
    const at::Tensor of_all = normal({12, kWidth}, static_cast<uint64_t>(step));
    std::vector<int64_t> rows;
    std::vector<at::Tensor> gradients;
    for (int64_t local = 0; local < table.layout.num_local_rows(); ++local) {
      if ((table.layout.global(local) + step) % 3 == 0) continue;
      rows.push_back(local);
      gradients.push_back(of_all[table.layout.global(local)].to(at::kFloat));
    }
    const at::Tensor gradients_MD = rows.empty() ? at::empty({0, kWidth}, at::kFloat) : at::stack(gradients);
    optimizer->update(table, {at::tensor(rows, at::kLong), gradients_MD}, kRate);
  }
  optimizer->flush(table);
  EXPECT_EQ(table.weight.scalar_type(), at::kBFloat16);
  at::Tensor all = at::zeros({12, kWidth}, at::kBFloat16);
  for (int64_t local = 0; local < table.layout.num_local_rows(); ++local) {
    all[table.layout.global(local)].copy_(table.weight[local]);
  }
  return all;
}

TEST(Bf16Tables, AreRoundedAlikeOnAnyWorldSize) {
  for (const std::string& name : names_of_rules()) {
    const at::Tensor whole = bf16_rows_after(name, 0, 1, 6);
    at::Tensor parts = at::zeros_like(whole);
    for (int rank = 0; rank < 3; ++rank) parts += bf16_rows_after(name, rank, 3, 6);
    EXPECT_TRUE(at::equal(parts, whole)) << name;
  }
}

TEST(Bf16Tables, MoveByUpdatesThatNearestRoundingWouldLose) {
  for (const std::string& name : names_of_rules(/*move_absent_rows=*/false)) {
    Table exact = make_random_table(RowLayout(200, 200, 0, 1), kWidth, at::kFloat, 1, Side::kContent), table = exact;
    exact.weight = at::ones({400, kWidth}, at::kFloat);
    table.weight = exact.weight.to(at::kBFloat16);
    OptimizerConfig config;
    config.name = name;
    const auto optimizer = make_row_optimizer(config);
    const at::Tensor rows = at::arange(400, at::kLong), gradients = -at::ones({400, kWidth}, at::kFloat);
    for (Table* each : {&exact, &table}) {
      optimizer->reset(*each);
      for (int step = 0; step < 20; ++step)
        optimizer->update(*each, {rows, gradients}, 0x1p-10);  // an eighth of a unit in the last place
    }
    const double want = exact.weight.mean().item<double>() - 1,
                 got = table.weight.to(at::kDouble).mean().item<double>() - 1;
    EXPECT_GT(want, 0x1p-9) << name;
    EXPECT_NEAR(got / want, 1, 0.03) << name;  // 8,400 walks of 20 draws: standard deviation 0.01
  }
}

TEST(Bf16Tables, KeepTheStateOfTheirOptimiserInFp32) {
  Table table = random_table(at::kFloat);
  round_to_bf16(table);
  make_row_optimizer({})->reset(table);
  EXPECT_EQ(table.state_of("moment1").scalar_type(), at::kFloat);
  EXPECT_EQ(table.state_of("moment2").scalar_type(), at::kFloat);
  EXPECT_EQ(table.compute_dtype(), at::kFloat);
}

}  // namespace
}  // namespace cllm
