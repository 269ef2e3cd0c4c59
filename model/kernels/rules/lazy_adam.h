#pragma once

#include "model/kernels/rules/adam.h"

namespace cllm::kernels {

/// Adam whose moments move only with a gradient; the bias correction counts the updates of the table (as
/// torch.optim.SparseAdam).
template <typename A>
struct LazyAdamRule : AdamRule<A> {
  using AdamRule<A>::AdamRule;
  static constexpr const char* kName = "lazy_adam";
  static constexpr const char* kDoc = "Adam of the touched rows alone";
  static constexpr bool kMovesAbsentRows = false;
};

}  // namespace cllm::kernels
