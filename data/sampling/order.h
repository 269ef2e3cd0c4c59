#pragma once

#include <cstdint>

namespace cllm {

enum class SampleOrder { kShuffled, kSequential };

/// Order of n samples in one epoch: a pseudo-random permutation in O(1) memory, or as they stand. Random access, pure.
class EpochOrder {
 public:
  /// `key`: stream_key(seed, Purpose::kEpochOrder, ...); another key is another permutation.
  EpochOrder(int64_t num_samples, SampleOrder order, uint64_t key);

  /// The sample at `position`, 0 <= position < num_samples. O(1) on average.
  int64_t at(int64_t position) const;

 private:
  uint64_t permute_once(uint64_t value) const;

  uint64_t num_samples_;
  SampleOrder order_;
  uint64_t key_;
  int half_bits_;
};

}  // namespace cllm
