#pragma once

#include "model/kernels/rules/rule.h"

namespace cllm::kernels {

/// w <- w - lr g
template <typename A>
struct SgdRule {
  static constexpr const char* kName = "sgd";
  static constexpr const char* kDoc = "the gradient times the learning rate";
  static constexpr std::array<StateSpec, 0> kState{};
  static constexpr bool kNeedsSquare = false, kMovesAbsentRows = false;

  struct Row {};

  A learning_rate;

  CLLM_RULE explicit SgdRule(const RowCall& call) : learning_rate(static_cast<A>(call.learning_rate)) {}

  CLLM_RULE Row open(A) const { return {}; }
  CLLM_RULE void move(const Row&, A& w, A g) const { w -= learning_rate * g; }
};

}  // namespace cllm::kernels
