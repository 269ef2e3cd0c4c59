#pragma once

#include <cstdint>
#include <vector>

#include "data/corpus/corpus.h"
#include "data/sampling/batch.h"

namespace cllm {

/// Next-word prediction over all texts of a corpus, for pretraining a backbone: per epoch the texts in random order,
/// each ended by `separator`, as one stream cut into blocks of `context` tokens; the tail that fills no block is left
/// out. A pure function of (seed, epoch, step): ranks take their share of a step without talking.
class TextBlocks {
 public:
  struct Options {
    int64_t context = 256;        // tokens per block
    int32_t separator = 0;        // word id
    int64_t blocks_per_step = 8;  // of all ranks together
    uint64_t seed = 0;
    double held_out = 0.02;  // share of the texts kept for validation (by text, the same in every epoch)
  };
  TextBlocks(const Corpus& corpus, const Options& options);

  /// Steps of an epoch; the number of blocks does not depend on the epoch.
  int64_t steps_per_epoch() const { return num_blocks_ / options_.blocks_per_step; }
  /// This rank's blocks of one step; the weights of all ranks' predictions sum to 1.
  Batch batch(int64_t epoch, int64_t step, int rank, int world_size);
  /// The held-out texts, this rank's share, one sequence per text (cut to the context), weights summing to 1 over
  /// ranks; not shuffled.
  Batch held_out(int rank, int world_size) const;

 private:
  void start_epoch(int64_t epoch);
  void append_block(int64_t block, Batch& batch) const;

  const Corpus& corpus_;
  Options options_;
  std::vector<int64_t> train_texts_, held_out_texts_;
  std::vector<int64_t> order_, offsets_;  // of the current epoch: text numbers, and where each starts in the stream
  int64_t epoch_ = -1, num_blocks_ = 0;
};

}  // namespace cllm
