#pragma once

// Letters: T asked rows, U distinct ones, M rows that an update moves on this rank, J items, D width.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "dist/communicator/communicator.h"
#include "dist/communicator/two_level.h"
#include "dist/rows/row_exchange.h"
#include "model/kernels/rows/row_gradient.h"
#include "model/losses/loss_term.h"
#include "model/tables/row_optimizer.h"
#include "model/tables/table.h"
#include "model/tables/text_rows.h"

namespace cllm {

/// The exchange of a table's rows, where the table is. `levels`: in two levels; null: in one, by channels.exchange.
RowExchange make_row_exchange(const Channels& channels, TwoLevels* levels, const Table& table);

/// Every row that a step trains on this shard, ascending: the touched ones and, if `item_head_gradient` (of all local
/// items, [J here, D]) is defined, all items; a head gives each a gradient, which meets in the update the gradients of
/// the row as an input.
kernels::RowGradient join_gradients(const RowLayout& layout, const Route& route, const GradientParts& parts,
                                    const at::Tensor& item_head_gradient);

/// Rows that this rank has asked for.
struct TakenRows {
  Route route;         // route.inverse_T: which of the distinct rows each asked one is
  at::Tensor rows_UD;  // in table.compute_dtype()
};

/// Rows that a step will take, of which their owners know.
struct AskedRows {
  std::vector<int32_t> rows_T;
  Route route;
};

/// Rows of one sharded table on their way to the ranks that need them, and their gradients back to ONE update per row
/// and step. A step that trains the table is: take(), give_back(), settle(), once each. Rows of the next such step may
/// travel beneath this one: ask() and announce() after take(), of this table's step or of a step of another table. The
/// results are the same bit for bit. All members are collective unless said otherwise; the table outlives it.
/// before_change is called before anything changes that a checkpoint saves.
class RowPipeline {
 public:
  using BeforeChange = std::function<void()>;

  /// `text`: what the rows are made of beside their weights, which then are composed as they are read; all rows move in
  /// every step, so that none may be announced. Null: nothing.
  RowPipeline(const Channels& channels, Table& table, const RowOptimizer& optimizer, TwoLevels* levels = nullptr,
              TextRows* text = nullptr);
  ~RowPipeline();

  /// The rows (global numbers, repeats allowed, may be none), brought up to date by their owners. If rows were
  /// announced, they must be these.
  TakenRows take(std::span<const int32_t> rows_T, const BeforeChange& before_change);
  /// The rows as they are: after flush() those of take(), without a change of the table.
  TakenRows read(std::span<const int32_t> rows_T);
  /// Brings all items of this rank up to date, for a head that reads table.items(), and lets the step move them. Local.
  void catch_up_items(const BeforeChange& before_change);
  /// Brings these local rows up to date. Local.
  void catch_up(const at::Tensor& rows_M) { optimizer_.catch_up(table_, rows_M); }

  /// Tells the owners which rows the next take() will be of; the host sorts, a device goes on with its work.
  AskedRows ask(std::vector<int32_t> rows_T);
  /// Those that the step now does not move are on their way from here on, the others after settle().
  void announce(AskedRows asked);

  /// Sends the gradients of the taken rows to their owners; `item_head_gradient` as above or undefined.
  void give_back(TakenRows taken, const at::Tensor& gradients_UD, const at::Tensor& item_head_gradient = {});
  /// Adds a pull of this rank's rows to what was given back. Local.
  void pull(RowPull pull);
  /// Whether the step now moves all these local rows, which are ascending. Local.
  bool moves(std::span<const int64_t> rows) const;

  /// The gradient by what give_back() was given: each row's parts are in rank order. In place of settle(). Text rows
  /// get that of their map, too.
  kernels::RowGradient collect();
  /// The update by collect(). Returns the sum of the gradient's elements, one number on the table's device: it is
  /// finite unless an element is not.
  at::Tensor settle(double learning_rate, const BeforeChange& before_change);
  /// give_back() waits for settle(). Local.
  bool unsettled() const { return unfinished_ != nullptr; }

  /// Every row is brought up to date: before ranking, export or another learning rate.
  void flush(const BeforeChange& before_change);

  Table& table() const { return table_; }

 private:
  struct Unfinished;
  struct Ahead;

  std::vector<int64_t> moving_rows() const;

  Table& table_;
  const RowOptimizer& optimizer_;
  RowExchange exchange_;
  TextRows* text_;
  std::vector<int64_t> touched_;            // local rows, ascending, that the step now moves: from take() to settle()
  bool in_step_ = false, items_ = false;    // items_: and all items
  std::unique_ptr<Unfinished> unfinished_;  // between give_back() and settle()
  std::unique_ptr<Ahead> ahead_;            // between announce() and take()
};

}  // namespace cllm
