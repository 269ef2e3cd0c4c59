#pragma once

// The metrics of ranked lists: one table, one line each. Items are indices 0 .. J-1; held-out items are ascending.
// K list length, J items.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dist/communicator/communicator.h"

namespace cllm {

/// hits among the first k / min(k, |held_out|); held_out is not empty.
double recall_at_k(std::span<const int32_t> ranked, std::span<const int32_t> held_out, int64_t k);

/// sum over hits of 1 / log2(rank + 1), rank from 1, over the same sum for min(k, |held_out|) hits at the top; held_out
/// is not empty.
double ndcg_at_k(std::span<const int32_t> ranked, std::span<const int32_t> held_out, int64_t k);

/// In how many users' training histories an item is.
struct ItemCounts {
  std::vector<int64_t> users;  // [J]
  int64_t num_users = 0;       // of the corpus
};

/// What a metric reads beside the lists.
enum class Needs { kNothing, kHeldOut, kCounts };

/// One user's list and what was to be found.
struct UserList {
  std::span<const int32_t> ranked, held_out;
  const ItemCounts* counts;  // null unless the metric needs them
};

/// A line of the table: a mean over users, or a number of all lists together.
struct Metric {
  std::string_view name;
  double (*of_user)(const UserList& list, int64_t k);   // null: of all lists
  double (*of_lists)(std::span<const int64_t> listed);  // listed [J]: how many lists hold the item in their first K
  Needs needs;  // kHeldOut: says how well held-out items are found, so that it can be taken over a part of them
  std::string_view denominator;  // for the protocol of a table of results
};

/// All that there are.
std::span<const Metric> metrics();

/// "recall@20".
struct MetricAt {
  const Metric* metric = nullptr;
  int64_t k = 0;

  std::string name() const;
  friend bool operator==(const MetricAt&, const MetricAt&) = default;
};

/// ModelError, starting with `where`, for a name that is not in the table (names the nearest that is), a missing @K and
/// K < 1.
MetricAt parse_metric(const std::string& text, const std::string& where);

/// Which metrics are computed, each once, in the order of their names' list.
class MetricList {
 public:
  MetricList() = default;
  /// ModelError as parse_metric.
  static MetricList parse(std::span<const std::string> names, const std::string& where);
  /// recall@K and ndcg@K of these cut-offs.
  MetricList(const std::vector<int64_t>& recall_k, const std::vector<int64_t>& ndcg_k);

  void add(MetricAt metric);  // unless it is there
  std::span<const MetricAt> all() const { return metrics_; }
  bool empty() const { return metrics_.empty(); }
  int64_t longest() const;  // list length that is needed
  bool needs_counts() const;
  std::vector<std::string> names() const;
  MetricList per_user() const;     // those with a value for each user
  MetricList of_held_out() const;  // those of them that need held-out items
  /// One user's values, in the order of per_user().names(). `counts` may be null if not needs_counts().
  std::vector<double> of_user(std::span<const int32_t> ranked, std::span<const int32_t> held_out,
                              const ItemCounts* counts = nullptr) const;

 private:
  std::vector<MetricAt> metrics_;
};

/// Values over the users that have held-out items; the others do not count. Parts of several ranks are joined by
/// all_reduce.
class MetricMean {
 public:
  /// `num_items`: J, for metrics of all lists. `counts` lives as long, or is null if not needs_counts().
  explicit MetricMean(MetricList metrics, int64_t num_items = 0, const ItemCounts* counts = nullptr);

  void add(std::span<const int32_t> ranked, std::span<const int32_t> held_out);
  /// Sums over ranks. Collective; call once, after the last add().
  void all_reduce(Communicator& comm);

  int64_t num_users() const { return num_users_; }
  const MetricList& metrics() const { return metrics_; }
  /// In the order of metrics().names(); zeros if no user counted.
  std::vector<double> values() const;

 private:
  MetricList metrics_, per_user_;
  const ItemCounts* counts_;
  std::vector<double> sums_;                  // of per_user_, in the order of the add() calls
  std::vector<std::vector<int64_t>> listed_;  // [J] of every metric of all lists
  int64_t num_users_ = 0;
};

}  // namespace cllm
