#include "model/recommenders/cllm4rec/history/history_items.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <numeric>
#include <unordered_set>

#include "data/random.h"

namespace cllm {

int64_t HistoryDropout::left_of(int64_t n, uint64_t key) const {
  if (!active() || n == 0) return n;
  CounterRng draws(key);
  if (draws.uniform() < history) return 1;
  const auto left_out = static_cast<int64_t>(std::floor(items * static_cast<double>(n) + draws.uniform()));
  return std::max<int64_t>(n - left_out, 1);
}

std::vector<int32_t> shuffled(std::span<const int32_t> items, uint64_t key) {
  std::vector<int32_t> copy(items.begin(), items.end());
  CounterRng(key).shuffle(std::span(copy));
  return copy;
}

std::vector<int32_t> in_order(ItemOrder order, std::span<const int32_t> ascending,
                              std::span<const int32_t> oldest_first, uint64_t key) {
  switch (order) {
    case ItemOrder::kRandom: return shuffled(ascending, key);
    case ItemOrder::kTime: return {oldest_first.begin(), oldest_first.end()};
    case ItemOrder::kAscending: break;
  }
  return {ascending.begin(), ascending.end()};
}

void put_in_order_of(std::span<const int32_t> history, std::vector<int32_t>& items) {
  const std::unordered_set<int32_t> wanted(items.begin(), items.end());
  items.clear();
  std::copy_if(history.begin(), history.end(), std::back_inserter(items),
               [&](int32_t item) { return wanted.contains(item); });
}

void keep_any(std::vector<int32_t>& items, int64_t count, uint64_t key) {
  if (std::ssize(items) <= count) return;
  std::vector<int32_t> places(items.size());
  std::iota(places.begin(), places.end(), 0);
  CounterRng(key).shuffle(std::span(places));
  keep_first(places, count);
  std::ranges::sort(places);
  for (int32_t& place : places) place = items[static_cast<size_t>(place)];
  items = std::move(places);
}

void keep_first(std::vector<int32_t>& items, int64_t count) {
  if (std::ssize(items) > count) items.resize(static_cast<size_t>(count));
}

void keep_newest(std::vector<int32_t>& items, int64_t count, std::span<const int32_t> history) {
  std::unordered_set<int32_t> newest(items.begin(), items.end());
  int64_t excess = std::ssize(items) - count;
  for (auto oldest = history.begin(); excess > 0 && oldest != history.end(); ++oldest) {
    excess -= static_cast<int64_t>(newest.erase(*oldest));
  }
  std::erase_if(items, [&](int32_t item) { return !newest.contains(item); });
}

}  // namespace cllm
