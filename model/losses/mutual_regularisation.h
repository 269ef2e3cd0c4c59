#pragma once

// Mutual regularisation at the owner (METHOD.md §5): both rows of an id live on one rank, so only (row, group, count)
// triples travel. Letters: C covered rows of this rank, D width, G groups.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string_view>

#include "data/sampling/batch.h"
#include "dist/communicator/communicator.h"
#include "model/losses/loss_term.h"
#include "model/tables/table.h"

namespace cllm {

/// "mr" = sum over the covered rows of factor |own - fixed|^2, factor = scale / G * sum over groups of n.
class MutualRegularisationTerm : public OwnerTerm {
 public:
  /// All but `comm`, over whose host the triples travel, is of one step. Tables and `mr` outlive it.
  MutualRegularisationTerm(Communicator& comm, const MutualRegularisation& mr, int64_t num_groups, const Table& own,
                           const Table& fixed)
      : comm_(comm), mr_(mr), num_groups_(num_groups), own_(own), fixed_(fixed) {}

  std::string_view name() const override { return "mr"; }
  const LocalRows& find_rows() override;
  OwnerResult value_and_pull(double weight) override;

 private:
  Communicator& comm_;
  const MutualRegularisation& mr_;
  int64_t num_groups_;
  const Table &own_, &fixed_;
  LocalRows covered_;     // merged over the sequences of all ranks
  at::Tensor factors_C_;  // fp64
};

}  // namespace cllm
