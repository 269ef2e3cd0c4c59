#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <span>
#include <utility>

namespace cllm {

/// What a random stream is for; part of its key, so that streams never share draws.
enum class Purpose : uint64_t {
  kIngest = 1,
  kSplit,
  kEpochOrder,
  kItemOrder,
  kMasking,
  kVisibleOrder,
  kTableInit,
  kBackboneInit,
  kDropout,
  kDemoData,
  kNegatives,
  kRounding,
  kBootstrap,
  kUserDraws,
  kLatentNoise,
  kDenseInit,
  kAdapterInit,
  kHistoryDropout
};

/// splitmix64 finaliser: a bijection of 64-bit words that passes BigCrush as a counter generator (Steele et al., OOPSLA
/// 2014).
constexpr uint64_t mix64(uint64_t x) {
  x += 0x9E3779B97F4A7C15ULL;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ULL;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBULL;
  return x ^ (x >> 31);
}

/// Key of a stream: a hash of (seed, purpose, a, b), e.g. a = epoch, b = sample. Pure; the same on every rank and
/// machine.
constexpr uint64_t stream_key(uint64_t seed, Purpose purpose, uint64_t a = 0, uint64_t b = 0) {
  return mix64(mix64(mix64(mix64(seed) ^ static_cast<uint64_t>(purpose)) ^ a) ^ b);
}

/// Counter-based generator: draw n of stream `key` is mix64(key + n). No state but the counter, so nothing needs to be
/// checkpointed.
class CounterRng {
 public:
  explicit constexpr CounterRng(uint64_t key) : key_(key) {}

  constexpr uint64_t next() { return mix64(key_ + 0x632BE59BD9B4E019ULL * ++counter_); }

  /// Uniform in [0, 1), 53 random bits.
  constexpr double uniform() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }

  /// Uniform in [0, bound); bound > 0. Multiply-shift: bias below bound / 2^64.
  constexpr uint64_t below(uint64_t bound) {
    __extension__ using Wide = unsigned __int128;
    return static_cast<uint64_t>((static_cast<Wide>(next()) * bound) >> 64);
  }

  /// Standard normal (Box-Muller, one value per two draws).
  double normal() {
    const double radius = std::sqrt(-2.0 * std::log(1.0 - uniform()));
    return radius * std::cos(2.0 * std::numbers::pi * uniform());
  }

  /// Fisher-Yates shuffle in place.
  template <typename T>
  constexpr void shuffle(std::span<T> values) {
    for (size_t n = values.size(); n > 1; --n) std::swap(values[n - 1], values[below(n)]);
  }

 private:
  uint64_t key_;
  uint64_t counter_ = 0;
};

}  // namespace cllm
