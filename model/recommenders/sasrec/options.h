#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "model/recommenders/model_options.h"
#include "model/recommenders/user_epochs.h"

namespace cllm {

/// kAuthors: the released code's blocks (keys and values of the un-normalised input, residual of the normalised query,
/// no output projection). kStandard: pre-norm blocks with an output projection and an inner width of 4 D.
enum class SasrecBlocks { kAuthors, kStandard };

/// kBce: one negative per position that the user does not have. kSampled: softmax over the target and uniform
/// negatives. kFull: exact softmax over all items. kGbce: gBCE of Petrov & Macdonald 2023.
enum class SasrecLoss { kBce, kSampled, kFull, kGbce };

/// Who shares the negatives of kSampled and kGbce: the positions of one sequence, or all of an update, so that
/// `negatives` rows travel and not `negatives` per sequence.
enum class SasrecNegatives { kOfSequence, kOfUpdate };

/// Defaults: Kang & McAuley 2018. [sasrec]
struct SasrecOptions : ModelOptions {
  SasrecBlocks encoder = SasrecBlocks::kAuthors;
  SasrecLoss loss = SasrecLoss::kBce;
  int64_t width = 50, blocks = 2, heads = 1, max_length = 50;
  double dropout = 0.5;
  int64_t negatives = 256;  // of kSampled and kGbce, drawn for each sequence or each update:
  SasrecNegatives negatives_of = SasrecNegatives::kOfSequence;
  double gbce_t = 0.75;
  int64_t epochs = 200;
  double learning_rate = 1e-3, beta2 = 0.98;
  EpochDecay decay = EpochDecay::kConstant;
  int64_t batch_users = 128;  // of a global batch
  int64_t patience = 0;

  /// The exponent of a positive's probability in gBCE: 1 - t (1 - k / (J - 1)).
  double gbce_beta(int64_t num_items) const;

  void describe(Settings& settings) override;
  std::string problem() const override;
  std::vector<std::string> keys_of_state() const override {
    return {"sasrec.encoder", "sasrec.width", "sasrec.blocks", "sasrec.heads", "sasrec.max_length"};
  }
  std::vector<SearchKey> search_space() const override;
  std::unique_ptr<ModelOptions> clone() const override { return std::make_unique<SasrecOptions>(*this); }
};

}  // namespace cllm
