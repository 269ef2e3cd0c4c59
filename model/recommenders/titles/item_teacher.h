#pragma once

// Letters: P positions of this rank, J items.

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <utility>

#include "dist/communicator/communicator.h"
#include "dist/row_partition.h"
#include "model/losses/soft_labels.h"

namespace cllm {

/// A teacher whose items are spread over the ranks, asked for all items at each rank's own positions.
class ItemTeacher {
 public:
  /// `labels`: of this rank's items. `comm` outlives it.
  ItemTeacher(Communicator& comm, int64_t num_items, std::unique_ptr<SoftLabels> labels)
      : comm_(comm), items_(num_items, comm.world_size()), labels_(std::move(labels)) {}

  /// ln q up to a number per position, [P, J] fp64 on the host. Values at shown items do not count. Collective.
  at::Tensor logits(const HistoryLists& mine);
  std::string describe() const { return labels_->describe(); }

 private:
  Communicator& comm_;
  RowPartition items_;
  std::unique_ptr<SoftLabels> labels_;
};

}  // namespace cllm
