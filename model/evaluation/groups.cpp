#include "model/evaluation/groups.h"

#include <algorithm>
#include <numeric>

namespace cllm {
namespace {

struct Bin {
  size_t least;
  const char* name;
};
constexpr Bin kBins[] = {{0, "0"}, {1, "1-4"}, {5, "5-9"}, {10, "10-19"}, {20, "20-49"}, {50, "50+"}};
constexpr const char* kThirds[] = {"head", "mid", "tail"};

size_t bin_of(size_t length) {
  size_t bin = 0;
  while (bin + 1 < std::size(kBins) && kBins[bin + 1].least <= length) ++bin;
  return bin;
}

MetricGroup group_of(const char* by, const char* name, const MetricMean& mean) {
  MetricGroup group{.by = by, .name = name, .num_users = mean.num_users(), .values = {}};
  const auto names = mean.metrics().names();
  const auto values = mean.values();
  for (size_t n = 0; n < names.size(); ++n) group.values[names[n]] = values[n];
  return group;
}

}  // namespace

std::vector<Frequency> frequency_thirds(const ItemCounts& counts) {
  std::vector<int32_t> order(counts.users.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, std::greater<>{},
                           [&](int32_t item) { return counts.users[static_cast<size_t>(item)]; });
  std::vector<Frequency> out(order.size());
  for (size_t place = 0; place < order.size(); ++place)
    out[static_cast<size_t>(order[place])] = static_cast<Frequency>(place * 3 / order.size());
  return out;
}

MetricGroups::MetricGroups(const MetricList& metrics, const ItemCounts& counts)
    : third_of_(frequency_thirds(counts)), by_history_(std::size(kBins), MetricMean(metrics.per_user(), 0, &counts)),
      by_third_(std::size(kThirds), MetricMean(metrics.of_held_out())) {}

void MetricGroups::add(size_t history_length, std::span<const int32_t> ranked, std::span<const int32_t> held_out) {
  by_history_[bin_of(history_length)].add(ranked, held_out);
  for (size_t third = 0; third < by_third_.size(); ++third) {
    std::vector<int32_t> of_third;
    std::ranges::copy_if(held_out, std::back_inserter(of_third), [&](int32_t item) {
      return static_cast<size_t>(third_of_[static_cast<size_t>(item)]) == third;
    });
    by_third_[third].add(ranked, of_third);
  }
}

void MetricGroups::all_reduce(Communicator& comm) {
  for (MetricMean& mean : by_history_) mean.all_reduce(comm);
  for (MetricMean& mean : by_third_) mean.all_reduce(comm);
}

std::vector<MetricGroup> MetricGroups::values() const {
  std::vector<MetricGroup> out;
  for (size_t n = 0; n < by_history_.size(); ++n) {
    if (by_history_[n].num_users() > 0) out.push_back(group_of("history", kBins[n].name, by_history_[n]));
  }
  for (size_t n = 0; n < by_third_.size(); ++n) {
    if (by_third_[n].num_users() > 0) out.push_back(group_of("items", kThirds[n], by_third_[n]));
  }
  return out;
}

}  // namespace cllm
