#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "dist/communicator/communicator.h"
#include "model/backbones/backbone.h"
#include "model/losses/contrast.h"
#include "model/losses/item_logits.h"
#include "model/losses/loss_term.h"
#include "model/losses/softmax_head.h"
#include "model/recommenders/cllm4rec/step_kind.h"
#include "model/recommenders/recommender.h"
#include "model/step/batch_tensors.h"
#include "model/step/non_finite.h"
#include "model/step/phases.h"
#include "model/step/row_pipeline.h"
#include "model/tables/row_optimizer.h"
#include "model/tables/table.h"

namespace cllm {

/// The two sides of METHOD.md §4 and the backbone between them.
struct RecModel {
  std::shared_ptr<Backbone> backbone;
  Table collaborative;                       // l: trained by L-steps and finetuning; its item rows are the item head
  Table content;                             // c: trained by C-steps
  std::shared_ptr<TextRows> text = nullptr;  // what collaborative rows are made of beside their weights; null: nothing
};

struct StepConfig {
  double lambda = 1.0;     // weight of mutual regularisation; 0 skips it
  bool report_mr = false;  // compute the term mr also where lambda = 0
  double learning_rate = 1e-3;
  Dropout dropout{};
  ItemSoftmax item_softmax = ItemSoftmax::kSharded;
  const ItemLogits* logits = nullptr;  // of L and F steps; null: products
  double skip = 0;  // of L and F steps: weight of the mean of the rows in a hidden state (model/step/encode.h)
  double input_gradient = 1;                    // what of the gradient of the tokens' rows as inputs they get
  const SoftObjective* objective = nullptr;     // of L and F steps; null: the listed targets alone
  std::optional<double> label_share = {};       // alpha of this step; unset: the objective's
  ContrastOptions contrast = {};                // of L-steps
  int64_t negatives = 0;                        // of kSampled, drawn
  uint64_t negative_key = 0;                    // by this key, the same on all ranks
  int64_t predicted_words = 0;                  // of C-steps: the first so many of the backbone's; 0: all
  std::function<void()> before_change = [] {};  // called before the step first changes a table
  const BatchTensors* tensors = nullptr;        // make_tensors() of the batch, made before; null: the step makes them
  bool train_backbone = true;                   // what of it is trainable; false: these gradients are dropped
  bool trace = false;  // phases() of a GPU too, at the price of waiting for it; ranges for a profiler
};

/// A step that will follow.
struct NextBatch {
  const RecBatch& batch;
  const StepConfig& config;
};

/// One training step on sharded tables (DESIGN.md §3). Collective; every rank passes its own part of the global batch.
class TrainStep {
 public:
  /// `levels`: rows travel in two levels (dist/rows/row_exchange.h); null: in one, by channels.exchange.
  TrainStep(const Channels& channels, RecModel& model, const RowOptimizer& optimizer, TwoLevels* levels = nullptr);
  ~TrainStep();

  /// Lookup, forward, prediction, backward, return, regulariser: loss = lm + lambda mr. `out`: of the trained side's
  /// rows on this rank. Backbone gradients are in the parameters' .grad if they are trainable (already summed over
  /// ranks).
  StepLosses gradients(const RecBatch& batch, const StepConfig& config, kernels::RowGradient& out);
  /// gradients() and then ONE optimiser update per touched row. With `next` it also fetches what that step will read;
  /// the results are the same bit for bit. The next call must then be of that batch, and nothing may change the tables
  /// in between.
  ///   Rows that the update leaves alone travel beneath the head and the backward pass, the others after the update.
  ///   next trains the other side (L and C in turn): all rows do the former, and this step's gradients travel to the
  ///   owners beneath the forward pass of the next, which then makes this step's update.
  StepLosses run(const RecBatch& batch, const StepConfig& config, const NextBatch* next = nullptr);
  /// Makes the update that the last run() has left to the next one. Call it before anything else reads or changes the
  /// tables. Collective.
  void settle(const std::function<void()>& before_change);

  /// Where the time of the last step went, on this rank.
  const PhaseSeconds& phases() const { return phases_; }
  /// What was wrong with the last step, on this rank; its update was made all the same, so the tables must then not be
  /// saved.
  NonFinite non_finite() const { return non_finite_; }

 private:
  struct Prepared;
  struct Gradients;

  std::unique_ptr<HiddenTerm> item_prediction(const RecBatch& batch, const StepConfig& config);
  HiddenTerms terms_of(const RecBatch& batch, const StepConfig& config);
  Prepared prepare(const RecBatch& batch, const StepConfig& config);
  Prepared prepared(const RecBatch& batch, const StepConfig& config);
  StepLosses compute(const RecBatch& batch, const StepConfig& config, const NextBatch* next);
  Gradients backward(const Prepared& now, const StepConfig& config, const at::Tensor& x_TD, const at::Tensor& hidden_AD,
                     const HiddenResult& prediction);
  OwnerResult regularise(const RecBatch& batch, const StepConfig& config);
  StepLosses sum_over_ranks(const Prepared& now, const HiddenTerms::Result& terms, double mr, double lambda);
  void look_at_row_gradients();
  RowPipeline& trained(StepKind kind) { return kind == StepKind::kContent ? content_ : collaborative_; }
  RowPipeline& fixed(StepKind kind) { return kind == StepKind::kContent ? collaborative_ : content_; }

  Channels channels_;
  Backbone& backbone_;
  const std::vector<std::pair<std::string, at::Tensor>> trained_backbone_;  // what of it is trainable
  RowPipeline collaborative_, content_;
  PhaseSeconds phases_;
  NonFinite non_finite_ = NonFinite::kNone;
  std::unique_ptr<Prepared> ahead_;   // the step that was announced; null: none
  RowPipeline* unsettled_ = nullptr;  // whose update the last run() has left to the next
  double unsettled_rate_ = 0;         // and its learning rate
  at::Tensor row_gradient_sum_;       // of gradients that nobody has looked at; undefined: none
};

}  // namespace cllm
