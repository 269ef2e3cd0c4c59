#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

#include "dist/communicator.h"
#include "dist/row_partition.h"

namespace cllm {

/// Where the rows of one step come from and their gradients go to. U unique rows asked for by this rank; P rows that peers (and this
/// rank) ask of this rank's shard, grouped by asking rank.
struct Route {
  at::Tensor inverse_T;            // int64 [T] position of each asked id among the U unique rows
  at::Tensor unique_rows_U;        // int64 [U] global rows, by owner, ascending within an owner
  std::vector<int64_t> ask;        // [R] rows asked of each rank; sums to U
  std::vector<int64_t> serve;      // [R] rows that each rank asks of this one; sums to P
  at::Tensor served_local_P;       // int64 [P] local rows, in rank order of the askers, ascending within an asker
  at::Tensor touched_local_M;      // int64 [M] distinct local rows among served_local_P, ascending
  at::Tensor touched_of_served_P;  // int64 [P] position of each served row in touched_local_M
};

/// Moves embedding rows from their owners to the ranks that need them, and gradients back (DESIGN.md §3 "lookup", "return").
/// All members are collective.
class RowExchange {
 public:
  RowExchange(Communicator& comm, const TableLayout& layout) : comm_(comm), layout_(layout) {}

  /// Deduplicates the global rows this rank needs and tells the owners. `rows_T` may be empty.
  Route route(std::span<const int32_t> rows_T);

  /// Rows of the sharded table `local_rows [num_local_rows, D]` in the order of unique_rows_U: [U, D].
  at::Tensor fetch(const Route& route, const at::Tensor& local_rows);

  /// Sends gradients [U, D] to the owners and sums them per row in rank order: [M, D] in the order of touched_local_M.
  at::Tensor return_gradients(const Route& route, const at::Tensor& gradients_UD);

 private:
  Communicator& comm_;
  TableLayout layout_;
};

}  // namespace cllm
