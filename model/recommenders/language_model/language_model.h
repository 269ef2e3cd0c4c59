#pragma once

#include "model/backbones/backbone.h"
#include "model/recommenders/language_model/options.h"
#include "model/recommenders/registry.h"
#include "model/recommenders/word_step.h"

namespace cllm {

/// A backbone alone, trained to predict the next word of the corpus' texts; it gives no lists. What
/// `cllm4rec pretrain-backbone` trains, and a run may train on.
class LanguageModel : public Recommender {
 public:
  LanguageModel(const LanguageModelOptions& options, const OpenArguments& arguments, std::shared_ptr<Backbone> backbone,
                TextBlocks blocks);

  const Program& program() const override { return program_; }
  Store store() override { return {.tables = {}, .dense = {{"backbone.", &adam_}}}; }
  void reset_optimizer() override {}
  std::unique_ptr<StepInput> input(const StepRef& ref) const override;
  StepLosses step(const StepInput& input, const StepSettings& settings, const NextStep* next) override;
  bool ranks() const override { return false; }
  std::map<std::string, double> held_out() override;
  std::vector<std::vector<ScoredItem>> top_items(std::span<const RankingQuery> queries, int64_t k) override;
  void export_model(const ExportFolder& folder) override { save((folder.dir / "backbone").string()); }
  /// In Hugging Face layout. Rank 0.
  void save(const std::string& dir) const;
  double flops(const StepInput& input, const StepSettings& settings) const override;
  NonFinite non_finite() const override { return non_finite_; }
  std::string describe() const override;

 private:
  WordLoss loss_and_gradients(const Batch& batch);

  LanguageModelOptions options_;
  OpenArguments arguments_;
  std::shared_ptr<Backbone> backbone_;
  mutable TextBlocks blocks_;  // keeps the order of the epoch that it was asked for last
  Program program_;
  DenseAdam adam_;
  NonFinite non_finite_ = NonFinite::kNone;
};

Model language_model();

}  // namespace cllm
