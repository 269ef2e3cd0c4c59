#pragma once

#include <ATen/core/Tensor.h>

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

/// What a step read and made, in its order: looked at only when a number is not finite.
struct SeenTensors {
  at::Tensor own_ND, other_ND, input_TD, hidden_AD;
};

/// Numbers of a step in its order; sums are finite if what they are the sums of is.
struct SeenNumbers {
  double loss, input_gradients;
  bool backbone_is_finite;
  double owner_terms;  // values of terms that are computed where rows are owned
};

NonFinite first_non_finite(const SeenTensors& seen, const SeenNumbers& numbers);

}  // namespace cllm
