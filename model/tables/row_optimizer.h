#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>

#include "data/settings.h"
#include "model/kernels/rows/row_gradient.h"
#include "model/kernels/rules/row_rule.h"
#include "model/tables/table.h"

namespace cllm {

struct OptimizerConfig {
  std::string name = "adam";  // of kernels::row_rules()
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
};

/// [optimizer]
void describe(OptimizerConfig& options, Settings& settings);

/// Updates the touched rows of a sharded table by a rule (model/kernels/rules/). `adam` has the semantics of dense Adam
/// at the cost of the touched rows (METHOD.md §6, skip-aware); the others leave absent rows alone. State lives in the
/// Table. Rows are local, distinct, ascending; int64 [M].
class RowOptimizer {
 public:
  RowOptimizer(const kernels::RowRule& rule, const OptimizerConfig& config) : rule_(rule), config_(config) {}

  /// Fresh state, as the rule lists it: zeros, step 0.
  void reset(Table& table) const;

  /// Brings rows up to table.step; must precede any read of them. No-op unless absent rows move.
  void catch_up(Table& table, const at::Tensor& rows_M) const;

  /// One update: table.step += 1, then the rows of `gradient` move by it; its parts are in table.compute_dtype().
  void update(Table& table, const kernels::RowGradient& gradient, double learning_rate) const;

  /// Whether an update also moves rows that it is not given.
  bool moves_absent_rows() const { return rule_.moves_absent_rows; }

  /// catch_up of every row: before evaluation, export, or a change of the learning rate. Dense, but only over stale
  /// rows.
  void flush(Table& table) const { catch_up(table, /*rows_M=*/at::Tensor()); }

 private:
  kernels::RowCall call_of(const Table& table) const;

  kernels::RowRule rule_;
  OptimizerConfig config_;
};

/// Throws ModelError for an unknown name.
std::unique_ptr<RowOptimizer> make_row_optimizer(const OptimizerConfig& config);

}  // namespace cllm
