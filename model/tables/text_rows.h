#pragma once

// Letters: M rows of a table, d numbers of a text vector, D width, P parts of gradients.

#include <ATen/core/Tensor.h>

#include <string>
#include <utility>
#include <vector>

#include "model/kernels/rows/row_gradient.h"
#include "model/tables/table.h"

namespace cllm {

/// Rows of a table that are made of the vectors of their texts and of a bounded part of their own ("Let it go? Not
/// quite", RecSys 2025): row = t W + own, |own| <= bound. The vectors are frozen and sharded as the table is, 0 for a
/// row without text, which is then its own part alone, without a bound. W is dense and trained, alike on all ranks. The
/// table's `weight` is the own part, moved by its optimiser as any row; its `composed` is what is read. All is local
/// and on the table's device; only optimisers that leave absent rows alone may move such a table.
class TextRows {
 public:
  /// How many rows of all ranks have a vector.
  struct Covered {
    int64_t users = 0, items = 0;
  };

  /// `vectors`: weight [local rows, d]; `map_dD`: a leaf, in the table's compute dtype as the vectors are; `bound`: 0
  /// leaves rows with a text no part of their own.
  TextRows(Table vectors, at::Tensor map_dD, double bound, Covered covered = {0, 0});

  /// Brings rows, or all of them, or all items, up to date with W and their own parts.
  void compose(Table& table, const at::Tensor& rows_M) const;
  void compose(Table& table) const { compose(table, 0, table.layout.num_local_rows()); }
  void compose_items(Table& table) const {
    compose(table, table.layout.num_local_users(), table.layout.num_local_items());
  }

  /// Adds this rank's part of the gradient of W by that of the rows (of a head, and parts; no pull).
  void add_gradient(const kernels::RowGradient& gradient);
  /// Shortens own parts of these rows that are longer than the bound.
  void keep_within_bound(Table& table, const at::Tensor& rows_M) const;

  const Covered& covered() const { return covered_; }
  Table& vectors() { return vectors_; }
  std::vector<std::pair<std::string, at::Tensor>> parameters() const { return {{"map", map_dD_}}; }

 private:
  void compose(Table& table, int64_t first, int64_t count) const;

  Table vectors_;
  at::Tensor map_dD_;
  double bound_;
  Covered covered_;
};

}  // namespace cllm
