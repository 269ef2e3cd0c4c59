#pragma once

// Top-K lists and the metrics of METHOD.md §7. Items are indices 0 .. J-1; lists of masked or held-out items are
// ascending.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "dist/communicator/communicator.h"

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

/// hits among the first k / min(k, |held_out|); held_out is not empty.
double recall_at_k(std::span<const int32_t> ranked, std::span<const int32_t> held_out, int64_t k);

/// sum over hits of 1 / log2(rank + 1), rank from 1, over the same sum for min(k, |held_out|) hits at the top; held_out
/// is not empty.
double ndcg_at_k(std::span<const int32_t> ranked, std::span<const int32_t> held_out, int64_t k);

/// Which metrics a run reports.
struct MetricChoice {
  std::vector<int64_t> recall = {20, 40};
  std::vector<int64_t> ndcg = {100};

  int64_t longest() const;                 // list length that is needed
  std::vector<std::string> names() const;  // "recall@20", ..., "ndcg@100"
  /// One user's values, in the order of names().
  std::vector<double> of_user(std::span<const int32_t> ranked, std::span<const int32_t> held_out) const;
};

/// Mean over the users that have held-out items; the others do not count. Parts of several ranks are joined by
/// all_reduce.
class MetricMean {
 public:
  explicit MetricMean(MetricChoice choice) : choice_(std::move(choice)), sums_(choice_.names().size(), 0.0) {}

  void add(std::span<const int32_t> ranked, std::span<const int32_t> held_out);
  /// Sums over ranks. Collective; call once, after the last add().
  void all_reduce(Communicator& comm);

  int64_t num_users() const { return num_users_; }
  const MetricChoice& choice() const { return choice_; }
  /// In the order of choice().names(); zeros if no user counted.
  std::vector<double> values() const;

 private:
  MetricChoice choice_;
  std::vector<double> sums_;
  int64_t num_users_ = 0;
};

}  // namespace cllm
