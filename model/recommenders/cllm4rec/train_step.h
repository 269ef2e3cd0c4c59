#pragma once

#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "dist/communicator/communicator.h"
#include "dist/rows/row_exchange.h"
#include "model/backbones/backbone.h"
#include "model/losses/mutual_regularisation.h"
#include "model/losses/softmax_head.h"
#include "model/recommenders/cllm4rec/step_kind.h"
#include "model/step/batch_tensors.h"
#include "model/step/non_finite.h"
#include "model/step/phases.h"
#include "model/tables/row_optimizer.h"
#include "model/tables/table.h"

namespace cllm {

/// The two sides of METHOD.md §4 and the backbone between them.
struct RecModel {
  std::shared_ptr<Backbone> backbone;
  Table collaborative;  // l: trained by L-steps and finetuning; its item rows are the item head
  Table content;        // c: trained by C-steps
};

struct StepConfig {
  double lambda = 1.0;     // weight of mutual regularisation; 0 skips it
  bool report_mr = false;  // compute RecLosses::mr also where lambda = 0
  double learning_rate = 1e-3;
  Dropout dropout{};
  ItemSoftmax item_softmax = ItemSoftmax::kSharded;
  int64_t negatives = 0;                        // of kSampled, drawn
  uint64_t negative_key = 0;                    // by this key, the same on all ranks
  std::function<void()> before_change = [] {};  // called before the step first changes a table
  const BatchTensors* tensors = nullptr;        // make_tensors() of the batch, made before; null: the step makes them
  bool trace = false;  // phases() of a GPU too, at the price of waiting for it; ranges for a profiler
};

/// A step that will follow.
struct NextBatch {
  const RecBatch& batch;
  const StepConfig& config;
};

/// Global values, equal on all ranks. loss = lm + lambda * mr, before the update.
struct RecLosses {
  double loss = 0, lm = 0, mr = 0;
  int64_t num_sequences = 0, num_tokens = 0;
};

/// One training step on sharded tables (DESIGN.md §3). Collective; every rank passes its own part of the global batch.
class TrainStep {
 public:
  /// `levels`: rows travel in two levels (dist/rows/row_exchange.h); null: in one, by channels.exchange.
  TrainStep(const Channels& channels, RecModel& model, const RowOptimizer& optimizer, TwoLevels* levels = nullptr);
  ~TrainStep();

  /// lookup, forward, softmax, backward, return, MR. `out`: of the trained side's rows on this rank. Backbone gradients
  /// are in the parameters' .grad if they are trainable (already summed over ranks).
  RecLosses gradients(const RecBatch& batch, const StepConfig& config, kernels::RowGradient& out);
  /// gradients() and then ONE optimiser update per touched row. With `next` it also fetches what that step will read;
  /// the results are the same bit for bit. The next call must then be of that batch, and nothing may change the tables
  /// in between.
  ///   Rows that the update leaves alone travel beneath the head and the backward pass, the others after the update.
  ///   next trains the other side (L and C in turn): all rows do the former, and this step's gradients travel to the
  ///   owners beneath the forward pass of the next, which then makes this step's update.
  RecLosses run(const RecBatch& batch, const StepConfig& config, const NextBatch* next = nullptr);
  /// Makes the update that the last run() has left to the next one. Call it before anything else reads or changes the
  /// tables. Collective.
  void settle(const std::function<void()>& before_change);

  /// Where the time of the last step went, on this rank.
  const PhaseSeconds& phases() const { return phases_; }
  /// What was wrong with the last step, on this rank; its update was made all the same, so the tables must then not be
  /// saved.
  NonFinite non_finite() const { return non_finite_; }

 private:
  struct Lookup;
  struct Ahead;
  struct Unfinished;

  Lookup ask(const RecBatch& batch, const StepConfig& config, SortOn sort_on);
  Lookup look_up(const RecBatch& batch, const StepConfig& config);
  HeadResult predict(const RecBatch& batch, const StepConfig& config, const Lookup& lookup,
                     const at::Tensor& hidden_AD);
  /// Of the rows that this rank asked for, [U, D]; `sampled_gradient` as sampled_head() gives it, or undefined.
  static at::Tensor gradients_of_asked(const Lookup& lookup, const at::Tensor& x_gradient_TD,
                                       const at::Tensor& sampled_gradient);
  RecLosses compute(const RecBatch& batch, const StepConfig& config, const NextBatch* next, Unfinished& rest);
  CoveredShard covered_rows(const RecBatch& batch);
  kernels::RowGradient finish(Unfinished& rest);
  void look_at_row_gradients();
  std::unique_ptr<Ahead> start(const RecBatch& next, Lookup lookup, StepKind now);
  void finish_ahead();
  std::vector<int64_t> rows_that_move(StepKind now, StepKind next) const;
  bool trains(const std::vector<int64_t>& rows) const;
  Table& trained(StepKind kind) { return kind == StepKind::kContent ? model_.content : model_.collaborative; }
  Table& fixed(StepKind kind) { return kind == StepKind::kContent ? model_.collaborative : model_.content; }

  Channels channels_;
  RecModel& model_;
  const RowOptimizer& optimizer_;
  RowExchange exchange_;
  PhaseSeconds phases_;
  NonFinite non_finite_ = NonFinite::kNone;
  std::vector<int64_t> touched_;  // local rows of the last gradients(), ascending; with all items if all_items_
  bool all_items_ = false;
  std::unique_ptr<Ahead> ahead_;            // of the step that comes next; null: none
  std::unique_ptr<Unfinished> unfinished_;  // of the step that was last; null: none
  at::Tensor row_gradient_sum_;             // of gradients that nobody has looked at; undefined: none
};

}  // namespace cllm
