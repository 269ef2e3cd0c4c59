#pragma once

// What the models that are fitted in one step share: one table of item rows, one segment, one task.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "dist/rows/row_exchange.h"
#include "model/recommenders/recommender.h"
#include "model/recommenders/registry.h"

namespace cllm {

/// The ranks of a run with tensors of the host: these models compute on the CPU, also in a run on GPUs.
class HostRanks {
 public:
  /// Collective. Without a GPU the communicator of rows itself, in two levels if the run has them.
  explicit HostRanks(const OpenArguments& arguments);

  Communicator& comm() const { return *comm_; }
  RowExchange exchange(const RowLayout& layout) const;
  RowLayout layout(int64_t num_users, int64_t num_items) const {
    return {num_users, num_items, comm_->rank(), comm_->world_size()};
  }

 private:
  std::unique_ptr<Communicator> own_;
  Communicator* comm_;
  TwoLevels* levels_ = nullptr;
};

/// The part of the training users, and of their items, that a rank reports.
std::unique_ptr<StepInput> count_training_rows(const Corpus& corpus, const RowPartition& users, int rank);

/// Sums what count_training_rows() gave over the ranks. Collective.
void sum_counts(Communicator& comm, const StepInput& input, StepLosses& losses);

/// A model whose state is a table of item rows that one step computes from the corpus; nothing of the step before the
/// one that is left by an error is kept.
class ClosedForm : public Recommender {
 public:
  const Program& program() const override { return program_; }
  Store store() override { return {.tables = {{name_, &table_}}}; }
  void reset_optimizer() override {}
  std::unique_ptr<StepInput> input(const StepRef& ref) const override;
  /// The losses are those of the state after the step: it finds the least.
  StepLosses step(const StepInput& input, const StepSettings& settings, const NextStep* next) override;
  /// Takes the memory of a fit without its work.
  void rehearse() override;
  std::string describe() const override;

 protected:
  /// `name`: of the table. Collective.
  ClosedForm(std::string name, const OpenArguments& arguments);

  /// Zeros [J_r, width] fp32: no memory is taken before the rows are written. `working_bytes`: what fit() takes at its
  /// peak on this rank beside them.
  void make_rows(int64_t width, int64_t working_bytes);
  /// Fills the table; loss and terms alike on all ranks. Collective.
  virtual StepLosses fit() = 0;
  /// Runs work of this rank that may throw; then all ranks throw.
  void agreed(const std::function<void()>& work) const;

  int64_t num_users() const { return corpus_.vocabulary().num_users; }
  int64_t num_items() const { return corpus_.vocabulary().num_items; }
  const RowPartition& items() const { return table_.layout.items(); }
  /// Additions of this rank's rows of the item-item matrix: its share of the sum over users of the squares of their
  /// training items. Local.
  double gram_flops() const;

  const Corpus& corpus_;
  HostRanks ranks_;
  Table table_;

 private:
  std::string name_;
  int64_t working_bytes_ = 0;
  std::function<void(const std::function<void()>&)> agreed_;
  Program program_;
};

}  // namespace cllm
