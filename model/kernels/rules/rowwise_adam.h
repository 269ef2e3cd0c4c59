#pragma once

#include "model/kernels/rules/rule.h"

namespace cllm::kernels {

/// m <- b1 m + (1 - b1) g;  v <- b2 v + (1 - b2) mean_D(g^2);  w <- w - lr m/(1 - b1^t) / (sqrt(v)/sqrt(1 - b2^t) +
/// eps) with one v per row (Zhai et al. 2024, HSTU: half of Adam's state). Touched rows alone; t counts the updates of
/// the table, as for lazy_adam.
template <typename A>
struct RowwiseAdamRule {
  static constexpr const char* kName = "rowwise_adam";
  static constexpr const char* kDoc = "Adam of the touched rows with one second moment per row";
  static constexpr std::array<StateSpec, 2> kState{{{"moment1"}, {"moment2", /*per_row=*/true}}};
  static constexpr bool kNeedsSquare = true, kMovesAbsentRows = false;

  struct Row {
    A rate;
  };

  A gain1, gain2, keep2, epsilon;  // 1 - b1, 1 - b2, b2
  A rate, root;                    // lr / (1 - b1^t), 1 / sqrt(1 - b2^t)

  CLLM_RULE explicit RowwiseAdamRule(const RowCall& call)
      : gain1(static_cast<A>(1 - call.beta1)), gain2(static_cast<A>(1 - call.beta2)), keep2(static_cast<A>(call.beta2)),
        epsilon(static_cast<A>(call.epsilon)),
        rate(static_cast<A>(call.learning_rate / (1 - std::pow(call.beta1, static_cast<double>(call.step))))),
        root(static_cast<A>(1 / std::sqrt(1 - std::pow(call.beta2, static_cast<double>(call.step))))) {}

  CLLM_RULE Row open(A mean_square, A& v) const {
    v = keep2 * v + gain2 * mean_square;
    return {rate / (std::sqrt(v) * root + epsilon)};
  }

  CLLM_RULE void move(const Row& row, A& w, A g, A& m) const {
    m += gain1 * (g - m);
    w -= row.rate * m;
  }
};

}  // namespace cllm::kernels
