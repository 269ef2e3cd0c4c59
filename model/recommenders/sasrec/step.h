#pragma once

// One update of SASRec on sharded item rows. Letters: B sequences of this rank, T positions, G groups of positions that
// share k negatives, D width.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "dist/communicator/communicator.h"
#include "model/losses/softmax_head.h"
#include "model/recommenders/recommender.h"
#include "model/recommenders/sasrec/encoder.h"
#include "model/step/row_pipeline.h"
#include "model/tables/dense_adam.h"
#include "model/tables/row_optimizer.h"
#include "model/tables/table.h"

namespace cllm {

/// The sequences of this rank in one update, on the CPU.
struct SasrecInput : StepInput {
  std::vector<int32_t> rows;     // items: T shown, T targets, then negatives; of the full loss only the shown ones
  std::vector<int64_t> lengths;  // [B], sum T
  Histories histories;
  at::Tensor target_T;           // int64
  at::Tensor negatives_Gk;       // int64; of bce the negatives are one per position, and this is empty
  std::vector<int64_t> sharing;  // [G] neighbouring positions, sum T
  double weight = 0;             // 1 / positions of the global batch
};

/// All that is trained.
struct SasrecState {
  Table items;  // E [J here, D]: what is shown and what is predicted
  SasrecEncoder encoder;
  DenseAdam dense;
};

class SasrecStep {
 public:
  /// All but the options outlive it.
  SasrecStep(const SasrecOptions& options, const Channels& channels, SasrecState& state, const RowOptimizer& optimizer,
             TwoLevels* levels);

  /// Sums over the ranks; the loss is a mean over the positions.
  struct Losses {
    double loss = 0;
    int64_t num_sequences = 0, num_positions = 0;
  };
  /// Loss and gradients: those of the encoder, summed over ranks, are in .grad of its parameters, those of the rows on
  /// their way until update(). Collective.
  Losses gradients(const SasrecInput& input, const std::function<void()>& before_change);
  /// ONE update of the encoder and of each row. Collective.
  void update(double learning_rate, const std::function<void()>& before_change);
  /// Instead of update(): all gradients are forgotten. Collective.
  void drop();
  /// Collective.
  void flush(const std::function<void()>& before_change) { pipeline_.flush(before_change); }

  /// State after the last item of each history, of which the latest max_length count: [B, D] in the tables' dtype of
  /// sums, computed in fp64; zeros for an empty one. B may differ between ranks. After flush(). Collective.
  at::Tensor hidden(const std::vector<std::vector<int32_t>>& histories);

  const PhaseSeconds& phases() const { return phases_; }
  NonFinite non_finite() const { return non_finite_; }

 private:
  struct Rows;
  /// The loss of this rank and its gradient in the hidden states and in the rows of the sampled losses.
  double predict(const SasrecInput& input, const at::Tensor& hidden_TD, Rows& rows);
  at::Tensor sampled_losses(const SasrecInput& input, const at::Tensor& hidden_TD, const Rows& rows) const;
  static at::Tensor gradients_of_taken(const TakenRows& taken, const Rows& rows, int64_t T);

  SasrecOptions options_;
  Channels channels_;
  SasrecState& state_;
  RowPipeline pipeline_;
  PhaseSeconds phases_;
  NonFinite non_finite_ = NonFinite::kNone;
};

}  // namespace cllm
