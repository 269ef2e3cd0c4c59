// Every row optimiser against its formula in tensors of fp64.
#include "model/kernels/rules/row_rule.h"

#include <gtest/gtest.h>

#include <ATen/TensorOperators.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros_like.h>

#include <cmath>
#include <map>
#include <string>

#include "model/tables/row_optimizer.h"
#include "tests/model/tensors.h"

namespace cllm {
namespace {

constexpr double kRuleRate = 1e-2;

/// A row of weights w [1, D] moved twice by the gradient g.
using Formula = at::Tensor (*)(const at::Tensor& w, const at::Tensor& g);

at::Tensor two_adam_updates(const at::Tensor& w, const at::Tensor& g) {
  at::Tensor moved = w, m = at::zeros_like(g), v = at::zeros_like(g);
  for (int t = 1; t <= 2; ++t) {
    m = 0.9 * m + 0.1 * g;
    v = 0.999 * v + 0.001 * g * g;
    moved = moved - kRuleRate * m / (1 - std::pow(0.9, t)) / ((v / (1 - std::pow(0.999, t))).sqrt() + 1e-8);
  }
  return moved;
}

at::Tensor two_rowwise_adagrad_updates(const at::Tensor& w, const at::Tensor& g) {
  const double square = (g * g).mean().item<double>();
  return w - kRuleRate * g * (1 / (std::sqrt(square) + 1e-8) + 1 / (std::sqrt(2 * square) + 1e-8));
}

at::Tensor two_rowwise_adam_updates(const at::Tensor& w, const at::Tensor& g) {
  at::Tensor moved = w, m = at::zeros_like(g);
  double v = 0;
  for (int t = 1; t <= 2; ++t) {
    m = 0.9 * m + 0.1 * g;
    v = 0.999 * v + 0.001 * (g * g).mean().item<double>();
    moved = moved - kRuleRate * m / (1 - std::pow(0.9, t)) / (std::sqrt(v / (1 - std::pow(0.999, t))) + 1e-8);
  }
  return moved;
}

at::Tensor two_sgd_updates(const at::Tensor& w, const at::Tensor& g) { return w - 2 * kRuleRate * g; }

const std::map<std::string, Formula> kFormulas = {
    {"adam", two_adam_updates},
    {"lazy_adam", two_adam_updates},
    {"rowwise_adagrad", two_rowwise_adagrad_updates},
    {"rowwise_adam", two_rowwise_adam_updates},
    {"sgd", two_sgd_updates},
};

TEST(RowRules, FollowTheirFormulas) {
  for (const kernels::RowRule& rule : kernels::row_rules()) {
    const std::string name(rule.name);
    ASSERT_TRUE(kFormulas.contains(name)) << name << ": write its formula down";
    Table table = make_random_table(RowLayout(5, 4, 0, 1), 21, at::kDouble, /*seed=*/3, Side::kCollaborative);
    const at::Tensor g = testing::normal({1, 21}, 9), start = table.weight.narrow(0, 4, 1).clone();
    const auto optimizer = make_row_optimizer({.name = name});
    optimizer->reset(table);
    for (int step = 0; step < 2; ++step) optimizer->update(table, {at::tensor({4}, at::kLong), g}, kRuleRate);
    EXPECT_LE(testing::gap(table.weight.narrow(0, 4, 1), kFormulas.at(name)(start, g)), 1e-14) << name;
  }
}

TEST(RowRules, AreFoundByTheirNames) {
  for (const kernels::RowRule& rule : kernels::row_rules()) EXPECT_EQ(kernels::find_row_rule(rule.name), &rule);
  EXPECT_EQ(kernels::find_row_rule("adamw"), nullptr);
}

}  // namespace
}  // namespace cllm
