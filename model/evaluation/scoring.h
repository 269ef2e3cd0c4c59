#pragma once

// Ranking of all items for blocks of users over the row-sharded item table, without an I x J matrix.
// Letters: b users of this rank's block, D width, K list length.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "dist/communicator/communicator.h"
#include "dist/row_partition.h"
#include "model/evaluation/ranking.h"

namespace cllm {

/// Scores are fp64 dot products of a hidden state and an item row, summed in a fixed order: lists and scores are the
/// same for any world size. Candidates come from a matrix product in the table's dtype; kSpareCandidates more than
/// asked for make up for its rounding.
class ItemScorer {
 public:
  static constexpr int64_t kSpareCandidates = 16;

  /// `local_items`: this rank's rows [J_r, D], fp32 or fp64; read at every call.
  ItemScorer(Communicator& comm, const RowPartition& items, const at::Tensor& local_items)
      : comm_(comm), items_(items), local_items_(local_items) {}

  /// Each user's K best items, best first, without masked[user] (ascending item indices). hidden_bD [b, D]: any b, also
  /// 0, and any floating dtype; b may differ between ranks. Collective.
  std::vector<std::vector<ScoredItem>> top_items(const at::Tensor& hidden_bD,
                                                 const std::vector<std::vector<int32_t>>& masked, int64_t k) const;

 private:
  Communicator& comm_;
  RowPartition items_;
  at::Tensor local_items_;
};

}  // namespace cllm
