#pragma once

#include "model/kernels/rules/rule.h"

namespace cllm::kernels {

/// a <- a + mean_D(g^2);  w <- w - lr g / (sqrt(a) + eps): Adagrad with one accumulator per row, 1 / D of Adam's state
/// (Gupta et al. 2014, "Training highly multiclass classifiers").
template <typename A>
struct RowwiseAdagradRule {
  static constexpr const char* kName = "rowwise_adagrad";
  static constexpr const char* kDoc = "Adagrad with one number per row";
  static constexpr std::array<StateSpec, 1> kState{{{"moment2", /*per_row=*/true}}};
  static constexpr bool kNeedsSquare = true, kMovesAbsentRows = false;

  struct Row {
    A rate;
  };

  A learning_rate, epsilon;

  CLLM_RULE explicit RowwiseAdagradRule(const RowCall& call)
      : learning_rate(static_cast<A>(call.learning_rate)), epsilon(static_cast<A>(call.epsilon)) {}

  CLLM_RULE Row open(A mean_square, A& accumulator) const {
    accumulator += mean_square;
    return {learning_rate / (std::sqrt(accumulator) + epsilon)};
  }

  CLLM_RULE void move(const Row& row, A& w, A g) const { w -= row.rate * g; }
};

}  // namespace cllm::kernels
