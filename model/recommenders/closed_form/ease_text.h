#pragma once

#include "model/recommenders/closed_form/closed_form.h"
#include "model/recommenders/closed_form/text_vectors.h"

namespace cllm {

struct EaseTextOptions : ModelOptions {
  double lambda_x = 50, lambda_f = 5, lambda_e = 150;
  TextVectorOptions text;
  double memory_gib = 0;

  void describe(Settings& settings) override;
  std::vector<SearchKey> search_space() const override;
  std::unique_ptr<ModelOptions> clone() const override { return std::make_unique<EaseTextOptions>(*this); }
};

/// L3AE (CIKM 2025) on TF-IDF vectors F [d, J]: C is the EASE of the texts, C = -P1 / diag P1 by columns,
/// P1 = (F^T F + lambda_f)^-1, and B the solution of min_B |X - X B|^2 + lambda_x |B|^2 + lambda_e |B - C|^2 with
/// diag B = 0: with P2 = (X^T X + lambda_x + lambda_e)^-1 and gamma = (1 + lambda_e diag(P2 C)) / diag P2,
/// B = lambda_e P2 C - P2 gamma by columns. The least value is sum gamma - J (lambda_x + lambda_e) +
/// lambda_e (|C|^2 - <B, C>); the loss is that per user. Table: rows of B, [J_r, J]. All ranks make the two Gram
/// matrices, rank 0 does the algebra.
class EaseText : public ClosedForm {
 public:
  EaseText(const EaseTextOptions& options, const OpenArguments& arguments);
  std::vector<std::vector<ScoredItem>> top_items(std::span<const RankingQuery> queries, int64_t k) override;
  /// Rank 0 has those of two inverses and a product; those between texts are not counted.
  double flops(const StepInput& input, const StepSettings& settings) const override;

 protected:
  StepLosses fit() override;

 private:
  EaseTextOptions options_;
};

/// C [J, J] fp64 on rank 0, [0, J] elsewhere. Throws on all ranks alike. Collective.
at::Tensor weights_between_texts(const Corpus& corpus, Communicator& comm, const RowPartition& items,
                                 const TextVectorOptions& text, double ridge,
                                 const std::function<void(const std::function<void()>&)>& agreed);

/// The line of the registry.
Model ease_text_model();

}  // namespace cllm
