#pragma once

#include <memory>
#include <string_view>

#include "data/batch.h"
#include "dist/communicator.h"
#include "dist/row_exchange.h"
#include "model/backbone.h"
#include "model/phases.h"
#include "model/row_optimizer.h"
#include "model/softmax_head.h"
#include "model/table.h"

namespace cllm {

/// The two sides of METHOD.md §4 and the backbone between them.
struct RecModel {
  std::shared_ptr<Backbone> backbone;
  Table collaborative;  // l: trained by L-steps and finetuning; its item rows are the item head
  Table content;        // c: trained by C-steps
};

struct StepConfig {
  double lambda = 1.0;     // weight of mutual regularisation; 0 skips it
  bool report_mr = false;  // compute StepLosses::mr also where lambda = 0
  double learning_rate = 1e-3;
  Dropout dropout{};
  ItemSoftmax item_softmax = ItemSoftmax::kSharded;
};

/// Global values, equal on all ranks. loss = lm + lambda * mr, before the update.
struct StepLosses {
  double loss = 0, lm = 0, mr = 0;
  int64_t num_sequences = 0, num_tokens = 0;
};

/// The first place of a step where a rank saw a value that is no finite number, in the order of the step.
enum class NonFinite { kNone, kTableRows, kInputRows, kHiddenStates, kLoss, kInputGradients, kBackboneGradients, kRowGradients };
std::string_view name_of(NonFinite place);

/// Gradients of the trained side on this rank's shard: rows_M local rows, ascending; gradients [M, D]. Backbone gradients are in the
/// parameters' .grad if they are trainable (already summed over ranks).
struct RowGradients {
  at::Tensor rows_M, gradients_MD;
};

/// One training step on sharded tables (DESIGN.md §3). Collective; every rank passes its own part of the global batch.
class TrainStep {
 public:
  TrainStep(Communicator& comm, RecModel& model, const RowOptimizer& optimizer);

  /// lookup, forward, softmax, backward, return, MR.
  StepLosses gradients(const Batch& batch, const StepConfig& config, RowGradients& out);
  /// gradients() and then ONE optimiser update per touched row.
  StepLosses run(const Batch& batch, const StepConfig& config);

  /// Where the time of the last step went, on this rank.
  const PhaseSeconds& phases() const { return phases_; }
  /// What was wrong with the last step, on this rank; its update was made all the same, so the tables must then not be saved.
  NonFinite non_finite() const { return non_finite_; }

 private:
  Table& trained(StepKind kind) { return kind == StepKind::kContent ? model_.content : model_.collaborative; }
  Table& fixed(StepKind kind) { return kind == StepKind::kContent ? model_.collaborative : model_.content; }

  Communicator& comm_;
  RecModel& model_;
  const RowOptimizer& optimizer_;
  RowExchange exchange_;
  PhaseSeconds phases_;
  NonFinite non_finite_ = NonFinite::kNone;
};

}  // namespace cllm
