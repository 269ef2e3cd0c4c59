#pragma once

// SASRec (Kang, McAuley: Self-Attentive Sequential Recommendation, ICDM 2018) with the losses of its successors.

#include <memory>
#include <string>
#include <vector>

#include "model/recommenders/sasrec/options.h"
#include "model/recommenders/sasrec/step.h"
#include "model/recommenders/user_model.h"

namespace cllm {

/// A sample is the end of a user's training history; every item predicts the next. Draws (order of users, dropout,
/// negatives) are functions of (seed, epoch, user). Users with fewer than two training items are not trained on.
class Sasrec : public UserModel {
 public:
  /// Throws ModelError.
  Sasrec(const SasrecOptions& options, const OpenArguments& arguments);

  Store store() override;
  std::unique_ptr<StepInput> input(const StepRef& ref) const override;
  StepLosses step(const StepInput& input, const StepSettings& settings, const NextStep* next) override;
  void flush(const std::function<void()>& before_change) override { step_.flush(before_change); }
  /// A query is answered by the order of its history; one without history by the items in order.
  std::vector<std::vector<ScoredItem>> top_items(std::span<const RankingQuery> queries, int64_t k) override;
  at::Tensor scored_rows() override { return state_.items.items().to(state_.items.compute_dtype()); }
  at::Tensor query_rows(std::span<const RankingQuery> queries) override;
  double flops(const StepInput& input, const StepSettings& settings) const override;
  PhaseSeconds phases() const override { return step_.phases(); }
  NonFinite non_finite() const override { return step_.non_finite(); }
  std::string describe() const override;

 protected:
  void practise(const StepInput& input, const RowOptimizer& still) override;

 private:
  /// Positions of a user's sample.
  int64_t positions_of(int64_t user) const;
  std::string longer_histories() const;
  void add_negatives(SasrecInput& input, const std::vector<SampledUser>& users, uint64_t update_key) const;

  SasrecOptions options_;
  uint64_t seed_;
  SasrecState state_;
  SasrecStep step_;
};

/// Its line in the registry.
Model sasrec_model();

}  // namespace cllm
