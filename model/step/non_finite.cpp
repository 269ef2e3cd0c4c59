#include "model/step/non_finite.h"

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

}  // namespace cllm
