#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace cllm {

/// (left id, right id) -> rank and id of the merged token. Open addressing, because a lookup per adjacent pair is the
/// inner loop.
class MergeTable {
 public:
  struct Merge {
    int32_t rank = -1;  // -1: the pair does not merge
    int32_t merged = -1;
  };

  MergeTable() : MergeTable(0) {}
  explicit MergeTable(size_t num_merges);
  /// False if the pair is there already.
  bool insert(int32_t left, int32_t right, Merge merge);
  Merge find(int32_t left, int32_t right) const;

 private:
  struct Slot {
    uint64_t pair = kEmpty;
    Merge merge;
  };
  static constexpr uint64_t kEmpty = ~uint64_t{0};
  static uint64_t pair_of(int32_t left, int32_t right);
  size_t slot_of(uint64_t pair) const;

  std::vector<Slot> slots_;
};

}  // namespace cllm
