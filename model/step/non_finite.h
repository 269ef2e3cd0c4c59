#pragma once

#include <string_view>

namespace cllm {

/// The first place of a step where a rank saw a value that is no finite number, in the order of the step.
enum class NonFinite {
  kNone,
  kTableRows,
  kInputRows,
  kHiddenStates,
  kLoss,
  kInputGradients,
  kBackboneGradients,
  kRowGradients
};
std::string_view name_of(NonFinite place);

}  // namespace cllm
