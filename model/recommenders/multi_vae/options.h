#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "model/recommenders/model_options.h"

namespace cllm {

/// Defaults: Liang et al. 2018 (vae_cf). [multi_vae]
struct MultiVaeOptions : ModelOptions {
  int64_t hidden = 600, latent = 200;
  double dropout = 0.5;      // of the input
  double beta_cap = 0.2;     // the largest weight of the KL divergence
  int64_t anneal_steps = 0;  // updates after which the weight would be 1; 0: the cap is met after kRamp of the training
  int64_t epochs = 200;
  double learning_rate = 1e-3;
  int64_t batch_users = 500;  // of a global batch
  int64_t patience = 0;

  /// Share of the training in which beta grows where anneal_steps = 0: 40,000 of the source's 46,800 updates.
  static constexpr double kRamp = 0.85;
  /// The weight of the KL divergence in update `step` (from 0) of a training of `num_steps`.
  double beta(int64_t step, int64_t num_steps) const;

  void describe(Settings& settings) override;
  std::vector<SearchKey> search_space() const override;
  std::unique_ptr<ModelOptions> clone() const override { return std::make_unique<MultiVaeOptions>(*this); }
};

}  // namespace cllm
