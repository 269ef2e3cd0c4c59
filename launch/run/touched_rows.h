#pragma once

#include "checkpoints/train_state.h"
#include "model/step/train_step.h"

namespace cllm {

/// Which rows have changed since the last whole save: those whose Table::row_step has, 4 bytes per row. After a flush
/// (every validation, every new learning rate) these are all rows that skip-aware Adam had left behind.
class TouchedRows {
 public:
  /// A whole save begins.
  void remember(const RecModel& model);
  /// Rows may have changed without their counter (new optimiser state): the next save must be whole.
  void forget() { l_row_step_ = c_row_step_ = at::Tensor(); }
  bool known() const { return l_row_step_.defined(); }

  /// The changed rows of `whole`, a view_state() of the model, in memory of their own; replicated tensors stay whole.
  TrainState changed(const TrainState& whole, const RecModel& model) const;

 private:
  at::Tensor l_row_step_, c_row_step_;  // at the last whole save
};

}  // namespace cllm
