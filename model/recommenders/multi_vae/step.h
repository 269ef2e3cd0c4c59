#pragma once

// One update of Multi-VAE on sharded rows. Letters: B users of this rank, K items that they show, J items, H hidden.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "dist/communicator/communicator.h"
#include "model/losses/softmax_head.h"
#include "model/recommenders/multi_vae/network.h"
#include "model/recommenders/recommender.h"
#include "model/step/row_pipeline.h"
#include "model/tables/dense_adam.h"
#include "model/tables/row_optimizer.h"
#include "model/tables/table.h"

namespace cllm {

/// The users of this rank in one update, on the CPU.
struct MultiVaeInput : StepInput {
  std::vector<int32_t> items_K;  // that the users show, user after user, without those that dropout hides
  at::Tensor user_K;             // int64, 0 .. B-1
  at::Tensor value_K;            // of the normalised, scaled row of the user; dtype of the tables' sums
  at::Tensor noise_BZ;           // standard normal, same dtype
  Targets targets;               // every training item of every user, weight 1 / users of the global batch
  double weight = 0;             // 1 / users of the global batch
};

/// Adds a user to the rows of items: value 1 / |x|_2 for each.
void show_items(std::span<const int32_t> items, double scale, int64_t user, std::vector<int32_t>& items_K,
                std::vector<int64_t>& user_K, std::vector<double>& value_K);

/// All that is trained.
struct MultiVaeState {
  Table encoder;  // W1 as rows of items [J here, H]
  Table decoder;  // W4 and b4 as rows of items [J here, H + 1]
  MultiVaeNetwork network;
  DenseAdam dense;
};

class MultiVaeStep {
 public:
  /// All outlive it.
  MultiVaeStep(const Channels& channels, MultiVaeState& state, const RowOptimizer& optimizer, TwoLevels* levels);

  /// Sums over the ranks.
  struct Losses {
    double nll = 0, kl = 0;  // loss = nll + beta kl
    int64_t num_users = 0, num_items = 0;
  };
  /// Loss and gradients: those of the network, summed over ranks, are in .grad of its parameters, those of the rows on
  /// their way until update(). Collective.
  Losses gradients(const MultiVaeInput& input, double beta, const std::function<void()>& before_change);
  /// ONE update of the network and of each row. Collective.
  void update(double learning_rate, const std::function<void()>& before_change);
  /// Instead of update(): all gradients are forgotten. Collective.
  void drop();
  /// Collective.
  void flush(const std::function<void()>& before_change);

  /// What ranks the items of users with these items (in any order, B may differ between ranks): [B, H + 1] in the
  /// tables' dtype of sums. After flush(). Collective.
  at::Tensor hidden(const std::vector<std::vector<int32_t>>& items_of_user);

  const PhaseSeconds& phases() const { return phases_; }
  NonFinite non_finite() const { return non_finite_; }

 private:
  Channels channels_;
  MultiVaeState& state_;
  RowPipeline encoder_, decoder_;
  PhaseSeconds phases_;
  NonFinite non_finite_ = NonFinite::kNone;
};

}  // namespace cllm
