#pragma once

// Mutual regularisation at the owner (METHOD.md §5): both rows of an id live on one rank, so only (row, group, count)
// triples travel. Letters: C covered rows of this rank, D width, G groups.

#include <ATen/core/Tensor.h>

#include <vector>

#include "data/sampling/batch.h"
#include "dist/communicator/communicator.h"
#include "dist/row_partition.h"
#include "model/kernels/rows/row_gradient.h"
#include "model/tables/table.h"

namespace cllm {

/// The covered rows of this rank's shard, merged over the sequences of all ranks.
struct CoveredShard {
  std::vector<int64_t> rows;  // [C] local rows, distinct, ascending
  at::Tensor rows_C;          // the same, int64, on the device
  at::Tensor
      factors_C;  // fp64 [C] scale / G * sum over groups of n: the row's share in mr = sum_C factor |own - fixed|^2
};

/// Sends the triples of `mr` to the owners of their rows, over the hosts; the result is on `device`. Collective.
CoveredShard exchange_covered(Communicator& comm, const TableLayout& layout, const MutualRegularisation& mr,
                              int64_t num_groups, at::Device device = at::kCPU);

/// This rank's part of mr, without lambda: fp64, one number on the device. The covered rows of both tables must be
/// caught up.
at::Tensor regulariser(const CoveredShard& covered, const Table& own, const Table& fixed);

/// Adds the pull of the covered rows, lambda d mr / d own = 2 lambda factor (own - fixed), to a gradient whose rows
/// include them. The optimiser computes it: `fixed` must keep its rows until then.
void add_pull(const CoveredShard& covered, const Table& fixed, double lambda, kernels::RowGradient& gradient);

}  // namespace cllm
