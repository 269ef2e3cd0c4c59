#pragma once

// TCA4Rec (arXiv 2601.18457; MODELS.md §11, METHOD.md §9) for a language model that writes titles.

#include <memory>
#include <string>
#include <vector>

#include "model/backbones/backbone.h"
#include "model/recommenders/registry.h"
#include "model/recommenders/titles/item_teacher.h"
#include "model/recommenders/titles/options.h"
#include "model/recommenders/titles/sequences.h"
#include "model/recommenders/titles/title_search.h"
#include "model/recommenders/titles/title_texts.h"
#include "model/recommenders/titles/trie.h"
#include "model/recommenders/user_epochs.h"
#include "model/recommenders/word_step.h"
#include "model/step/batch_tensors.h"
#include "model/tables/dense_adam.h"

namespace cllm {

/// This rank's part of an update.
struct TitlesInput : StepInput {
  TitleBatch titles;
  BatchTensors tensors;
};

/// The next item is found by writing its title after those of the history. No rows: what is trained is the backbone or
/// its adapters, alike on all ranks.
class Titles : public Recommender {
 public:
  /// What is made from the corpus and the backbone's files.
  struct Parts {
    std::shared_ptr<Backbone> backbone;
    std::shared_ptr<const TitleTrie> trie;
    TitleSequences sequences;
    std::unique_ptr<ItemTeacher> teacher;  // null: none
    TitleCounts counts;
  };
  Titles(const TitlesOptions& options, const OpenArguments& arguments, Parts parts);

  const Program& program() const override { return program_; }
  Store store() override;
  void reset_optimizer() override { adam_.reset(); }
  std::unique_ptr<StepInput> input(const StepRef& ref) const override;
  StepLosses step(const StepInput& input, const StepSettings& settings, const NextStep* next) override;
  std::vector<std::vector<ScoredItem>> top_items(std::span<const RankingQuery> queries, int64_t k) override;
  void rehearse() override;
  void export_model(const ExportFolder& folder) override;
  double flops(const StepInput& input, const StepSettings& settings) const override;
  NonFinite non_finite() const override { return non_finite_; }
  std::string describe() const override;

  const TitleTrie& trie() const { return *parts_.trie; }
  const TitleSequences& sequences() const { return parts_.sequences; }

 private:
  std::vector<TitleSample> samples(const StepRef& ref) const;
  ListedLabels labels_of(const TitleBatch& titles, double alpha);
  WordLoss loss_and_gradients(const TitlesInput& input, double alpha);

  TitlesOptions options_;
  OpenArguments arguments_;
  Parts parts_;
  UserEpochs users_;
  Program program_;
  DenseAdam adam_;
  NonFinite non_finite_ = NonFinite::kNone;
};

Model titles_model();

}  // namespace cllm
