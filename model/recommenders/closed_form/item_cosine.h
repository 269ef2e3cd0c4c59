#pragma once

#include "model/recommenders/closed_form/closed_form.h"

namespace cllm {

struct ItemCosineOptions : ModelOptions {
  double shrink = 0;
  int64_t neighbours = 0;  // 0: all
  double recency = 1;
  double memory_gib = 0;

  void describe(Settings& settings) override;
  std::vector<SearchKey> search_space() const override;
  std::unique_ptr<ModelOptions> clone() const override { return std::make_unique<ItemCosineOptions>(*this); }
};

/// S_jk = G_jk / (sqrt(G_jj G_kk) + shrink), S_jj = 0, of which every column keeps its `neighbours` largest (ties to
/// the lower row); scores x_u S. Table: rows of S, [J_r, J]. Nothing is minimised; its loss is the mean score of the
/// training pairs, negative.
class ItemCosine : public ClosedForm {
 public:
  ItemCosine(const ItemCosineOptions& options, const OpenArguments& arguments);
  std::vector<std::vector<ScoredItem>> top_items(std::span<const RankingQuery> queries, int64_t k) override;
  double flops(const StepInput&, const StepSettings&) const override { return gram_flops(); }

 protected:
  StepLosses fit() override;

 private:
  /// Keeps the largest of every column. Collective.
  void keep_neighbours();

  ItemCosineOptions options_;
};

/// The line of the registry.
Model item_cosine_model();

}  // namespace cllm
