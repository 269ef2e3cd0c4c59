#pragma once

#include "model/recommenders/closed_form/closed_form.h"
#include "model/recommenders/closed_form/gram.h"

namespace cllm {

struct EaseOptions : ModelOptions {
  double lambda = 200;
  double memory_gib = 0;

  void describe(Settings& settings) override;
  std::vector<SearchKey> search_space() const override;
  std::unique_ptr<ModelOptions> clone() const override { return std::make_unique<EaseOptions>(*this); }
};

/// EASE^R (Steck, WWW 2019): min_B |X - X B|^2 + lambda |B|^2 with diag B = 0. With P = (X^T X + lambda)^-1 the
/// solution is B_jk = -P_jk / P_kk, and the least value is sum_k (1 / P_kk - lambda); the loss is that per user. Table:
/// rows of B, [J_r, J]. All ranks make the Gram matrix, rank 0 inverts it.
class Ease : public ClosedForm {
 public:
  Ease(const EaseOptions& options, const OpenArguments& arguments);
  std::vector<std::vector<ScoredItem>> top_items(std::span<const RankingQuery> queries, int64_t k) override;
  /// Rank 0 has those of the inverse.
  double flops(const StepInput& input, const StepSettings& settings) const override;

 protected:
  StepLosses fit() override;

 private:
  EaseOptions options_;
};

/// (X^T X + ridge)^-1 [J, J] fp64 on rank 0, [0, J] elsewhere, X without the users of a fold. Throws on all ranks
/// alike. Collective.
at::Tensor inverse_gram(const Corpus& corpus, Communicator& comm, const RowPartition& items, double ridge,
                        const std::function<void(const std::function<void()>&)>& agreed, UserFold without = {});

/// A number that rank 0 knows. Collective.
double of_first_rank(Communicator& comm, double value);

/// The line of the registry.
Model ease_model();

}  // namespace cllm
