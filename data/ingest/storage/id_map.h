#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

namespace cllm {

/// Raw ids <-> 0, 1, 2, ... in the order of their first appearance. About 25 bytes per id besides its characters: an
/// arena of length-prefixed strings, their places, and an open-addressing table.
class IdMap {
 public:
  static constexpr size_t kMaxLength = 1024;  // bytes of an id

  IdMap();
  uint32_t intern(std::string_view id);
  std::optional<uint32_t> find(std::string_view id) const;
  std::string_view name(uint32_t number) const;
  size_t size() const { return places_.size(); }
  size_t memory_bytes() const;

 private:
  struct Slot {
    uint32_t number = kFree;
    uint32_t tag = 0;  // upper half of the hash: spares most string comparisons
  };
  static constexpr uint32_t kFree = ~uint32_t{0};
  static constexpr size_t kBlockBytes = size_t{1} << 20;

  size_t slot_of(std::string_view id, uint64_t hash) const;
  uint64_t store(std::string_view id);
  void grow();

  std::vector<std::unique_ptr<char[]>> blocks_;
  size_t block_used_ = kBlockBytes;
  std::vector<uint64_t> places_;  // number -> position in the arena
  std::vector<Slot> slots_;
};

}  // namespace cllm
