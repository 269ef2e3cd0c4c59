#pragma once

#include "model/recommenders/closed_form/closed_form.h"

namespace cllm {

/// Every user gets the items with the most training users; ties to the lower id. Table: the counts, [J_r, 1]. Its loss
/// is the mean of -ln(n_j / sum n) over the training pairs: what a list of counts explains of them.
class Popularity : public ClosedForm {
 public:
  explicit Popularity(const OpenArguments& arguments);
  std::vector<std::vector<ScoredItem>> top_items(std::span<const RankingQuery> queries, int64_t k) override;
  double flops(const StepInput& input, const StepSettings&) const override {
    return static_cast<double>(input.num_tokens);
  }

 protected:
  StepLosses fit() override;
};

/// No options.
struct PopularityOptions : ModelOptions {
  void describe(Settings& settings) override { static_cast<void>(settings); }
  std::unique_ptr<ModelOptions> clone() const override { return std::make_unique<PopularityOptions>(*this); }
};

/// The line of the registry.
Model popularity_model();

}  // namespace cllm
