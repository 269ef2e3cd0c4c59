#include "data/sampling/order.h"

#include <algorithm>
#include <bit>
#include <stdexcept>
#include <string>

#include "data/random.h"

namespace cllm {
namespace {

constexpr int kRounds = 6;
// A network of very few bits reaches only a small part of the permutations; 256 values at least, at a few more walks
// for tiny n.
constexpr int kMinHalfBits = 4;

}  // namespace

EpochOrder::EpochOrder(int64_t num_samples, SampleOrder order, uint64_t key)
    : num_samples_(static_cast<uint64_t>(num_samples)), order_(order), key_(key) {
  if (num_samples < 0) throw std::invalid_argument("EpochOrder: " + std::to_string(num_samples) + " samples");
  const int bits = static_cast<int>(std::bit_width(num_samples_));
  half_bits_ = std::max((bits + 1) / 2, kMinHalfBits);
}

/// Balanced Feistel network: a bijection of [0, 4^half_bits) whatever the round function is (Luby and Rackoff, 1988).
uint64_t EpochOrder::permute_once(uint64_t value) const {
  const uint64_t mask = (uint64_t{1} << half_bits_) - 1;
  uint64_t left = value >> half_bits_, right = value & mask;
  for (uint64_t round = 0; round < kRounds; ++round) {
    const uint64_t mixed = left ^ (mix64(mix64(key_ + round) ^ right) & mask);
    left = right;
    right = mixed;
  }
  return (left << half_bits_) | right;
}

int64_t EpochOrder::at(int64_t position) const {
  if (position < 0 || static_cast<uint64_t>(position) >= num_samples_)
    throw std::out_of_range("EpochOrder: position " + std::to_string(position) + " of " + std::to_string(num_samples_));
  if (order_ == SampleOrder::kSequential) return position;
  // Cycle walking (Black and Rogaway, 2002): the cycle through `position` comes back below num_samples; at most 4 n +
  // 256 values.
  uint64_t value = permute_once(static_cast<uint64_t>(position));
  while (value >= num_samples_) value = permute_once(value);
  return static_cast<int64_t>(value);
}

}  // namespace cllm
