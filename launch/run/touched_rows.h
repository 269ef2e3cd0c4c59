#pragma once

#include <vector>

#include "checkpoints/train_state.h"
#include "model/tables/store.h"

namespace cllm {

/// Which rows have changed since the last whole save: those whose Table::row_step has, 4 bytes per row. After a flush
/// (every validation, every new learning rate) these are all rows that skip-aware Adam had left behind.
class TouchedRows {
 public:
  /// A whole save begins.
  void remember(const Store& store);
  /// Rows may have changed without their counter (new optimiser state): the next save must be whole.
  void forget() { row_steps_.clear(); }
  /// False also of tables whose rows are not counted.
  bool known() const { return !row_steps_.empty(); }

  /// The changed rows of `whole`, a view_state() of the store, in memory of their own; replicated tensors stay whole.
  TrainState changed(const TrainState& whole, const Store& store) const;

 private:
  std::vector<at::Tensor> row_steps_;  // of every table at the last whole save
};

}  // namespace cllm
