#pragma once

// Top-K lists. Items are indices 0 .. J-1; lists of masked items are ascending.

#include <cstdint>
#include <span>
#include <vector>

namespace cllm {

struct ScoredItem {
  int32_t item = 0;
  double score = 0;

  /// The order of every ranking: higher scores first, ties to the lower item.
  friend bool operator<(const ScoredItem& a, const ScoredItem& b) {
    return a.score != b.score ? a.score > b.score : a.item < b.item;
  }
  friend bool operator==(const ScoredItem&, const ScoredItem&) = default;
};

/// Collects the k best of scores that come in pieces, with the items ascending.
class TopK {
 public:
  explicit TopK(int64_t k) : k_(k > 0 ? static_cast<size_t>(k) : 0) {}

  /// Score n belongs to item first_item + n; items in `masked` and scores that are not a number never enter. fp32 or
  /// fp64.
  template <typename T>
  void add(std::span<const T> scores, std::span<const int32_t> masked, int64_t first_item = 0);

  /// Best first; fewer than k if there were no more. Empties the collection.
  std::vector<ScoredItem> take();

 private:
  size_t k_;
  std::vector<ScoredItem> heap_;  // the worst on top
};

}  // namespace cllm
