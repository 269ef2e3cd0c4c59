#pragma once

// Letters: T asked rows, U distinct ones, M rows that an update moves on this rank, J items, D width.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "dist/communicator/communicator.h"
#include "dist/communicator/two_level.h"
#include "dist/rows/row_exchange.h"
#include "model/kernels/rows/row_gradient.h"
#include "model/tables/row_optimizer.h"
#include "model/tables/table.h"

namespace cllm {

/// The exchange of a table's rows, where the table is. `levels`: in two levels; null: in one, by channels.exchange.
RowExchange make_row_exchange(const Channels& channels, TwoLevels* levels, const Table& table);

/// Every row that a step trains on this shard, ascending: the touched ones and, if `item_head_gradient` (of all local
/// items, [J here, D]) is defined, all items; a head gives each a gradient, which meets in the update the gradients of
/// the row as an input.
kernels::RowGradient join_gradients(const TableLayout& layout, const Route& route, const GradientParts& parts,
                                    const at::Tensor& item_head_gradient);

/// Rows that this rank has asked for.
struct TakenRows {
  Route route;         // route.inverse_T: which of the distinct rows each asked one is
  at::Tensor rows_UD;  // in table.compute_dtype()
};

/// Rows of one sharded table on their way to the ranks that need them, and their gradients back to ONE update per row
/// and step. A step is: take(), give_back(), settle(), once each. All members are collective; the table outlives it.
/// before_change is called before anything changes that a checkpoint saves.
class RowPipeline {
 public:
  using BeforeChange = std::function<void()>;

  RowPipeline(const Channels& channels, Table& table, const RowOptimizer& optimizer, TwoLevels* levels = nullptr);
  ~RowPipeline();

  /// The rows (global numbers, repeats allowed, may be none), brought up to date by their owners.
  TakenRows take(std::span<const int32_t> rows_T, const BeforeChange& before_change);
  /// The rows as they are: after flush() those of take(), without a change of the table.
  TakenRows read(std::span<const int32_t> rows_T);
  /// Brings all items of this rank up to date, for a head that reads table.items(). Local.
  void catch_up_items(const BeforeChange& before_change);

  /// Sends the gradients of the taken rows to their owners; `item_head_gradient` as above or undefined.
  void give_back(TakenRows taken, const at::Tensor& gradients_UD, const at::Tensor& item_head_gradient = {});

  /// The update by what give_back() was given: each row's parts are summed in rank order. Returns the sum of the
  /// gradient's elements, one number on the table's device: it is finite unless an element is not.
  at::Tensor settle(double learning_rate, const BeforeChange& before_change);

  /// Every row is brought up to date: before ranking, export or another learning rate.
  void flush(const BeforeChange& before_change);

  Table& table() const { return table_; }

 private:
  struct Unfinished;

  Table& table_;
  const RowOptimizer& optimizer_;
  RowExchange exchange_;
  std::unique_ptr<Unfinished> unfinished_;  // between give_back() and settle()
};

}  // namespace cllm
