#include "model/step/non_finite.h"

#include <cmath>

#include "model/step/dense_gradients.h"

namespace cllm {

std::string_view name_of(NonFinite place) {
  switch (place) {
    case NonFinite::kNone: break;
    case NonFinite::kTableRows: return "table rows";
    case NonFinite::kInputRows: return "input rows";
    case NonFinite::kHiddenStates: return "hidden states";
    case NonFinite::kLoss: return "loss";
    case NonFinite::kInputGradients: return "input gradients";
    case NonFinite::kBackboneGradients: return "backbone gradients";
    case NonFinite::kRowGradients: return "row gradients";
  }
  return "nothing";
}

NonFinite first_non_finite(const SeenTensors& seen, const SeenNumbers& numbers) {
  if (!std::isfinite(numbers.loss) || !std::isfinite(numbers.input_gradients)) {
    return !is_finite(seen.own_ND) || !is_finite(seen.other_ND) ? NonFinite::kTableRows
           : !is_finite(seen.input_TD)                          ? NonFinite::kInputRows
           : !is_finite(seen.hidden_AD)                         ? NonFinite::kHiddenStates
           : !std::isfinite(numbers.loss)                       ? NonFinite::kLoss
                                                                : NonFinite::kInputGradients;
  }
  if (!numbers.backbone_is_finite) return NonFinite::kBackboneGradients;
  return std::isfinite(numbers.owner_terms) ? NonFinite::kNone : NonFinite::kRowGradients;
}

}  // namespace cllm
