#pragma once

// Where a model is good: by what it knew of the user, and by how often the items to be found occur in training.

#include <array>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "dist/communicator/communicator.h"
#include "model/evaluation/metrics.h"

namespace cllm {

/// Means over the users of a group.
struct MetricGroup {
  std::string by;    // "history" or "items"
  std::string name;  // "1-4"; "head"
  int64_t num_users = 0;
  std::map<std::string, double> values;
};

enum class Frequency : uint8_t { kHead, kMid, kTail };

/// The items in the order of their training users, most first, ties to the lower index, cut into three equal numbers of
/// items (one more in the first parts if 3 does not divide J). [J]
std::vector<Frequency> frequency_thirds(const ItemCounts& counts);

/// By history length (0, 1-4, 5-9, 10-19, 20-49, 50+): every metric that has a value for each user. By item frequency:
/// the metrics that need held-out items, as if only those of the third had been held out; a user counts in every third
/// that has one of its items.
class MetricGroups {
 public:
  /// `counts` lives as long.
  MetricGroups(const MetricList& metrics, const ItemCounts& counts);

  void add(size_t history_length, std::span<const int32_t> ranked, std::span<const int32_t> held_out);
  /// Collective; call once, after the last add().
  void all_reduce(Communicator& comm);
  /// Without the empty ones.
  std::vector<MetricGroup> values() const;

 private:
  std::vector<Frequency> third_of_;
  std::vector<MetricMean> by_history_, by_third_;
};

}  // namespace cllm
