#pragma once

// What models share that learn from random draws of users, with sharded rows of items and dense weights.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "data/corpus/corpus.h"
#include "model/recommenders/recommender.h"
#include "model/recommenders/registry.h"
#include "model/recommenders/user_epochs.h"
#include "model/tables/row_optimizer.h"

namespace cllm {

/// An update is a random draw of users, an epoch all of them; it moves every row and the dense weights once, and leaves
/// nothing to the next.
class UserModel : public Recommender {
 public:
  const Program& program() const override { return program_; }
  void reset_optimizer() override;
  /// The draw of the first epoch with the most items, without its update.
  void rehearse() override;

 protected:
  struct Training {
    std::string_view name;  // of the model
    UserEpochOptions users;
    EpochOptions epochs;
    OptimizerConfig rows;
  };
  /// ModelError for a precision that these models do not have (bf16).
  UserModel(const OpenArguments& arguments, const Training& training);

  /// A step without its update, with an optimiser that brings no row up to date; all gradients are dropped.
  virtual void practise(const StepInput& input, const RowOptimizer& still) = 0;

  /// Lists of the items by their dot products with a query's hidden state. Collective.
  std::vector<std::vector<ScoredItem>> lists_of(const Table& items, const at::Tensor& hidden_bD,
                                                std::span<const RankingQuery> queries, int64_t k) const;

  Corpus corpus_;
  Channels channels_;
  TwoLevels* levels_;
  UserEpochs users_;
  Program program_;
  std::unique_ptr<RowOptimizer> optimizer_;
};

/// The table where the run wants it, in the dtype that it wants.
Table placed(Table table, const OpenArguments& arguments);

}  // namespace cllm
