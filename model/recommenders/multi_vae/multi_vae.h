#pragma once

// Multi-VAE (Liang, Krishnan, Hoffman, Jebara: Variational Autoencoders for Collaborative Filtering, WWW 2018).

#include <memory>
#include <string>
#include <vector>

#include "model/recommenders/multi_vae/options.h"
#include "model/recommenders/multi_vae/step.h"
#include "model/recommenders/user_model.h"

namespace cllm {

/// A user is the set of its training items. Draws (order of users, dropout, noise) are functions of (seed, epoch,
/// user).
class MultiVae : public UserModel {
 public:
  /// Throws ModelError.
  MultiVae(MultiVaeOptions options, const OpenArguments& arguments);

  Store store() override;
  std::unique_ptr<StepInput> input(const StepRef& ref) const override;
  StepLosses step(const StepInput& input, const StepSettings& settings, const NextStep* next) override;
  void flush(const std::function<void()>& before_change) override { step_.flush(before_change); }
  std::vector<std::vector<ScoredItem>> top_items(std::span<const RankingQuery> queries, int64_t k) override;
  at::Tensor scored_rows() override { return state_.decoder.items().to(state_.decoder.compute_dtype()); }
  at::Tensor query_rows(std::span<const RankingQuery> queries) override;
  double flops(const StepInput& input, const StepSettings& settings) const override;
  PhaseSeconds phases() const override { return step_.phases(); }
  NonFinite non_finite() const override { return step_.non_finite(); }
  std::string describe() const override;

 protected:
  void practise(const StepInput& input, const RowOptimizer& still) override;

 private:
  MultiVaeOptions options_;
  MultiVaeState state_;
  MultiVaeStep step_;
};

/// Its line in the registry.
Model multi_vae_model();

}  // namespace cllm
