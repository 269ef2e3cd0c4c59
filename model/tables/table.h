#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "dist/rows/row_layout.h"
#include "model/kernels/compute_dtype.h"

namespace cllm {

/// What an optimiser keeps beside every row, by the name under which checkpoints hold it.
struct RowState {
  std::string name;
  at::Tensor rows;  // [local rows, D] or [local rows], in the table's compute dtype
};

/// This rank's rows of a sharded table (users, then items: RowLayout) with the optimiser's state.
struct Table {
  RowLayout layout;
  at::Tensor weight;            // [local rows, D] fp32, fp64, or bf16, whose optimiser's state and gradients are fp32
  at::Tensor composed;          // of rows that are more than their weight (text_rows.h): what is read; else undefined
  std::vector<RowState> state;  // of the optimiser, as RowOptimizer::state() declares it
  at::Tensor row_step;          // int32 [local rows] table step that each row is at; it changes whenever the row does
  int64_t step = 0;             // updates of the table
  uint64_t rounding_seed = 0;   // of a bf16 table: of the draws by which its updates are rounded
  bool users_on_host = false;   // of a GPU's table: rows of users, with their state, are in the host's memory
  double learning_rate =
      kNoLearningRate;  // of the last update, hence of the missed ones that `adam` still owes to stale rows

  static constexpr double kNoLearningRate = -1;  // no update yet

  /// Undefined if the optimiser keeps no such state.
  at::Tensor state_of(std::string_view name) const;
  int64_t width() const { return weight.size(1); }
  /// Dtype of the rows when they are computed with, of their gradients and of the optimiser's state: fp64 for fp64
  /// rows, otherwise fp32.
  at::ScalarType compute_dtype() const { return residual_dtype(weight.scalar_type()); }
  /// What is read of all local rows.
  const at::Tensor& rows() const { return composed.defined() ? composed : weight; }
  at::Tensor users() const { return rows_of(rows(), layout.group("user")); }
  at::Tensor items() const { return rows_of(rows(), layout.group("item")); }

  /// This rank's rows of a group, out of what the table has for all its local rows.
  static at::Tensor rows_of(const at::Tensor& all, const RowGroup& group) {
    return all.narrow(0, group.first_local, group.num_local);
  }
};

/// Bytes of a table with its optimiser state.
struct RowBytes {
  int64_t users = 0, items = 0;
};
RowBytes bytes_of_rows(const Table& table);

/// Which of the two sides a table is; part of the random key of its start values.
enum class Side : uint64_t { kCollaborative = 0, kContent = 1 };

/// A table that starts N(0, 0.02^2), METHOD.md §4. A row's values are a pure function of (seed, side, global row): the
/// same for any world size, and in fp32 the rounded fp64 values. Without optimiser state (RowOptimizer::reset).
Table make_random_table(const RowLayout& layout, int64_t width, at::ScalarType dtype, uint64_t seed, Side side);

/// Rounds the rows of an fp32 table to bf16: half the memory, and half the bytes of rows that travel.
void round_to_bf16(Table& table);

/// A table that starts from given rows: all users [I, D] and all items [J, D], the same on every rank; dtype as
/// `users_ID`.
Table make_table(const RowLayout& layout, const at::Tensor& users_ID, const at::Tensor& items_JD);

/// Moves the weights to `device`. `users_on_host`, for a GPU: the rows of users, and later their optimiser state, stay
/// in the host's memory, where the GPU's kernels reach them over its bus: one row per sequence travels, while the
/// items' rows are all in its own.
void move_table(Table& table, at::Device device, bool users_on_host = false);

/// Zeros beside the table's rows: [rows, ...], placed like them.
at::Tensor zeros_like_rows(const Table& table, at::IntArrayRef sizes, at::ScalarType dtype);

/// Zeros. On the CPU their pages are only backed by memory when they are first written: moments of rows that no batch
/// touches cost nothing.
at::Tensor lazy_zeros(at::IntArrayRef sizes, at::ScalarType dtype, at::Device device = at::kCPU);

}  // namespace cllm
