#pragma once

// Which items of a history are used, in which order. Items are internal ids.

#include <cstdint>
#include <span>
#include <vector>

namespace cllm {

enum class ItemOrder { kRandom, kAscending, kTime };

/// What is used of a history that is longer than what fits: a draw (ascending order: the lowest ids), or the newest.
enum class HistoryKeep { kRandom, kNewest };

/// What an L-step leaves out of a history.
struct HistoryDropout {
  double items = 0;    // share of its items
  double history = 0;  // probability that nothing but its first item is left

  bool active() const { return items > 0 || history > 0; }
  /// How many of `n` items are left, at least one of one; a draw of `key`, n (1 - items) on average where `history` =
  /// 0.
  int64_t left_of(int64_t n, uint64_t key) const;
};

std::vector<int32_t> shuffled(std::span<const int32_t> items, uint64_t key);

/// A history in an order, from the same items ascending and oldest first; `key` shuffles.
std::vector<int32_t> in_order(ItemOrder order, std::span<const int32_t> ascending,
                              std::span<const int32_t> oldest_first, uint64_t key);

/// `items` as they stand in `history`, which has them all.
void put_in_order_of(std::span<const int32_t> history, std::vector<int32_t>& items);

/// `count` of the items, a random choice, in the order that they have; `key` draws.
void keep_any(std::vector<int32_t>& items, int64_t count, uint64_t key);

void keep_first(std::vector<int32_t>& items, int64_t count);

/// At most `count` of the items: the newest of `history` (oldest first), in the order that they have.
void keep_newest(std::vector<int32_t>& items, int64_t count, std::span<const int32_t> history);

}  // namespace cllm
