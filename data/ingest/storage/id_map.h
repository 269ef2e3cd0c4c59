#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace cllm {

/// Raw ids <-> 0, 1, 2, ... in the order of their first appearance. About 30 bytes per id besides its characters: an
/// arena of numbered strings, their places, and an open-addressing table of places: a search reads two cold lines.
class IdMap {
 public:
  static constexpr size_t kMaxLength = 1024;  // bytes of an id

  IdMap();
  uint32_t intern(std::string_view id);
  std::optional<uint32_t> find(std::string_view id) const;
  /// Brings what searches for these ids will read into the cache, all at a time instead of one after the other.
  void fetch(std::span<const std::string_view> ids);
  std::string_view name(uint32_t number) const;
  size_t size() const { return places_.size(); }
  size_t memory_bytes() const;

 private:
  static constexpr uint64_t kFree = (uint64_t{1} << 40) - 1;
  struct Slot {
    uint64_t place : 40 = kFree;  // in the arena
    uint64_t tag : 24 = 0;        // of the hash: spares most string comparisons
  };
  struct Entry {  // characters behind it
    uint32_t number;
    uint16_t length;
  };
  static constexpr size_t kEntryBytes = 6;
  static constexpr size_t kBlockBytes = size_t{1} << 20;

  static uint32_t tag_of(uint64_t hash) { return static_cast<uint32_t>(hash >> 40); }
  size_t slot_of(std::string_view id, uint64_t hash) const;
  Entry entry(uint64_t place) const;
  std::string_view id_at(uint64_t place) const;
  uint64_t store(std::string_view id, uint32_t number);
  void grow();

  std::vector<std::unique_ptr<char[]>> blocks_;
  size_t block_used_ = kBlockBytes;
  std::vector<uint64_t> places_;  // number -> position in the arena
  std::vector<Slot> slots_;
  std::vector<size_t> fetched_;  // slots
};

}  // namespace cllm
