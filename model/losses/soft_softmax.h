#pragma once

// The item softmax with more than listed targets: sets, masks and dense soft labels. Letters as in soft_labels.h, P
// pairs.

#include <ATen/core/Tensor.h>

#include <optional>

#include "dist/communicator/communicator.h"
#include "dist/row_partition.h"
#include "model/losses/soft_labels.h"
#include "model/losses/softmax_head.h"

namespace cllm {

/// item_softmax() for an objective; hidden states travel. With c the weight of a position (of its targets and of the
/// rest of its history), T its targets divided by c, Z = sum over the items that are not masked of e^logit:
///   cross-entropy   c ln Z - c sum_j y_j logit_j          d/d logits = c (P - y)
///   log outside     c (ln Z - ln sum_j y_j e^logit_j)     d/d logits = c (P - q'), q' proportional to y P
/// q has no mass at shown items, whether the softmax masks them or not. One all-reduce merges all normalisers of the
/// ranks; memory is that of two blocks. `histories`: of this rank's positions, on the host. A target must not be
/// masked. Collective.
HeadResult soft_item_softmax(Communicator& comm, const RowPartition& items, const at::Tensor& hidden_AD,
                             const at::Tensor& local_items, const Targets& targets, const HistoryTensors& histories,
                             const SoftObjective& objective, std::optional<LogitBlocks> blocks = {});

}  // namespace cllm
