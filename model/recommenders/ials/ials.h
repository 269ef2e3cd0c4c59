#pragma once

#include <memory>
#include <optional>

#include "model/recommenders/closed_form/closed_form.h"
#include "model/recommenders/closed_form/gram.h"
#include "model/recommenders/ials/options.h"
#include "model/recommenders/ials/solve.h"

namespace cllm {

/// Implicit matrix factorisation by alternating least squares (Hu et al. 2008; Rendle et al., RecSys 2022):
/// L(W, H) = sum over observed (w.h - 1)^2 + alpha0 sum over all pairs (w.h)^2
///           + lambda (sum_u (n_u + alpha0 J)^nu |w_u|^2 + sum_j (n_j + alpha0 I)^nu |h_j|^2).
/// An epoch is two steps, "users" and "items"; each finds the exact least over its side. Table: rows of users and items
/// [., D]. Systems are built and solved in fp64. The losses of a step are those after it, per user.
/// A query is answered by its history: its row is solved with the items fixed, so users outside the corpus, and
/// histories that are longer than the trained ones, are ranked alike; a user without history has no list but the items
/// in order.
class Ials : public Recommender {
 public:
  Ials(const IalsOptions& options, const OpenArguments& arguments);

  const Program& program() const override { return program_; }
  Store store() override { return {.tables = {{"ials", &table_}}}; }
  void reset_optimizer() override {}
  std::unique_ptr<StepInput> input(const StepRef& ref) const override;
  StepLosses step(const StepInput& input, const StepSettings& settings, const NextStep* next) override;
  std::vector<std::vector<ScoredItem>> top_items(std::span<const RankingQuery> queries, int64_t k) override;
  at::Tensor scored_rows() override { return table_.items(); }
  at::Tensor query_rows(std::span<const RankingQuery> queries) override;
  /// The block of rows with the most pairs of each side, solved and not kept.
  void rehearse() override;
  double flops(const StepInput& input, const StepSettings& settings) const override;
  std::string describe() const override;

 private:
  enum Task { kUsers, kItems };
  struct Sums {
    double observed = 0, ridge = 0;
  };

  void fill_items(uint64_t seed);
  at::Tensor rows_of(Task side) const { return side == kUsers ? table_.users() : table_.items(); }
  const RowPartition& partition(Task side) const {
    return side == kUsers ? table_.layout.users() : table_.layout.items();
  }
  /// The other side's ids that a row of this rank has in training.
  std::span<const int32_t> observed(Task side, int64_t id) const;
  /// Where blocks of this rank's rows of a side begin, and where the last ends: as many on every rank. Collective.
  std::vector<int64_t> blocks_of(Task side) const;
  int64_t num_pairs(Task side, int64_t begin, int64_t end) const;
  /// Solves the rows of ids begin .. end - 1 into out_nD; the sum over their pairs of (w.h - 1)^2. Collective.
  double solve_block(RowExchange& exchange, Task side, const LeastSquares& problem, int64_t begin, int64_t end,
                     const at::Tensor& out_nD) const;
  /// Solves this rank's rows of a side. Collective.
  Sums solve(Task side, const LeastSquares& problem);
  double ridge_of(Task side) const;
  /// [T, D] fp64 by place, of ids of a side. Collective.
  at::Tensor fetch(RowExchange& exchange, Task side, std::span<const int32_t> ids_T) const;
  LeastSquares problem(Task side, at::Tensor others_DD) const;
  /// H^T H of the items in blocks of rows that no world size moves. Collective.
  at::Tensor item_gram() const;
  void agreed(const std::function<void()>& work) const;

  const Corpus& corpus_;
  IalsOptions options_;
  HostRanks ranks_;
  std::function<void(const std::function<void()>&)> agreed_;
  Program program_;
  Table table_;
  std::optional<ItemUsers> item_users_;  // of this rank's items
};

/// The line of the registry.
Model ials_model();

}  // namespace cllm
