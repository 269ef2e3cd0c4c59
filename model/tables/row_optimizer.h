#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <vector>

#include "data/settings.h"
#include "model/kernels/row_gradient.h"
#include "model/tables/table.h"

namespace cllm {

struct OptimizerConfig {
  std::string name = "adam";  // adam | lazy_adam | rowwise_adagrad | sgd
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
};

/// [optimizer]
void describe(OptimizerConfig& options, Settings& settings);

/// A tensor that an algorithm keeps beside every row, zero at the start: [rows, D], or [rows] if `per_row`.
struct StateSpec {
  std::string name;
  bool per_row = false;
};

/// Updates the touched rows of a sharded table. `adam` has the semantics of dense Adam at the cost of the touched rows
/// (METHOD.md §6, skip-aware); the others leave absent rows alone. State lives in the Table. Rows are local, distinct,
/// ascending; int64 [M].
class RowOptimizer {
 public:
  virtual ~RowOptimizer() = default;

  /// What the algorithm keeps beside the rows.
  virtual std::vector<StateSpec> state() const = 0;

  /// Fresh state(): zeros, step 0.
  void reset(Table& table) const;

  /// Brings rows up to table.step; must precede any read of them. No-op except for `adam`.
  virtual void catch_up(Table& table, const at::Tensor& rows_M) const = 0;

  /// One update: table.step += 1, then the rows of `gradient` move by it; its parts are in table.compute_dtype().
  virtual void update(Table& table, const kernels::RowGradient& gradient, double learning_rate) const = 0;

  /// Whether an update also moves rows that it is not given.
  virtual bool moves_absent_rows() const = 0;

  /// catch_up of every row: before evaluation, export, or a change of the learning rate. Dense, but only over stale
  /// rows.
  virtual void flush(Table& table) const = 0;
};

/// Throws ModelError for an unknown name.
std::unique_ptr<RowOptimizer> make_row_optimizer(const OptimizerConfig& config);

}  // namespace cllm
