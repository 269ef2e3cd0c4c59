#pragma once

#include <memory>
#include <optional>

#include "model/recommenders/cllm4rec/item_head.h"
#include "model/recommenders/cllm4rec/options.h"
#include "model/recommenders/cllm4rec/sampler.h"
#include "model/recommenders/cllm4rec/stages.h"
#include "model/recommenders/cllm4rec/train_step.h"
#include "model/recommenders/registry.h"

namespace cllm {

/// CLLM4Rec (WWW 2024, METHOD.md): two tables of ID tokens beside a language model, trained by L-, C- and finetuning
/// steps in three stages.
class Cllm4rec : public Recommender {
 public:
  /// `model`: backbone and tables on their device.
  /// `words`: those of the backbone.
  Cllm4rec(const Cllm4recOptions& options, const OpenArguments& arguments, RecModel model, Sampler sampler,
           WordSet words, const Dropout& backbone_dropout);

  /// What the objective mixes into the targets; before the first step.
  void set_labels(std::unique_ptr<SoftLabels> labels);
  /// Finds what the item head standardises by, if it does; before the first step. Collective.
  void prepare_head();

  const Program& program() const override { return program_; }
  Store store() override;
  void reset_optimizer() override;
  std::unique_ptr<StepInput> input(const StepRef& ref) const override;
  StepLosses step(const StepInput& input, const StepSettings& settings, const NextStep* next) override;
  void settle(const std::function<void()>& before_change) override { step_.settle(before_change); }
  void flush(const std::function<void()>& before_change) override;
  void rank_as(int stage) override;
  std::string why_no_fold_in() const override;
  std::vector<std::vector<ScoredItem>> top_items(std::span<const RankingQuery> queries, int64_t k) override;
  at::Tensor scored_rows() override;
  at::Tensor query_rows(std::span<const RankingQuery> queries) override;
  std::vector<std::vector<int32_t>> prompts_of(std::span<const RankingQuery> queries) const override;
  bool needs_row_steps() const override { return optimizer_->moves_absent_rows(); }
  void rehearse() override;
  void export_model(const ExportFolder& folder) override;
  double flops(const StepInput& input, const StepSettings& settings) const override;
  PhaseSeconds phases() const override { return step_.phases(); }
  NonFinite non_finite() const override { return non_finite_; }
  std::string describe() const override;

 private:
  StepConfig config_of(const StepInput& input, const StepSettings& settings) const;
  Dropout dropout_of(const StepRef& ref) const;
  bool trains_backbone(StepKind kind) const;
  double backbone_rate(const StepSettings& settings) const;
  const SoftObjective* objective() const { return options_.objective.is_soft() ? &soft_ : nullptr; }
  const ItemLogits* logits() const { return logits_.kind == HeadKind::kDot ? nullptr : &logits_; }
  void update_dense(const StepSettings& settings);
  const ItemHead& head_of(StepKind kind) const {
    return kind == StepKind::kRecommendation ? recommendation_head_ : collaborative_head_;
  }

  Cllm4recOptions options_;
  OpenArguments arguments_;
  RecModel model_;
  Sampler sampler_;
  WordSet words_;
  Dropout backbone_dropout_;  // of the backbone's config.json
  Program program_;
  std::unique_ptr<SoftLabels> labels_;  // null: none
  SoftObjective soft_;
  ItemLogits logits_;
  ItemHead collaborative_head_, recommendation_head_;  // of L and of F steps
  std::unique_ptr<RowOptimizer> optimizer_;
  std::unique_ptr<DenseAdam> backbone_optimizer_;  // null: frozen backbone
  std::unique_ptr<DenseAdam> map_optimizer_;       // of the text rows' map; null: no text rows
  TrainStep step_;
  NonFinite non_finite_ = NonFinite::kNone;      // of the last step
  StepKind prompt_ = StepKind::kRecommendation;  // that lists are asked by
  at::Tensor items_;                             // this rank's item rows as lists need them; undefined: they changed
};

Model cllm4rec_model();

}  // namespace cllm
