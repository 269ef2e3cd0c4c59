#include "data/ingest/storage/id_map.h"

#include <xxhash.h>

#include <cstring>
#include <stdexcept>

#include "data/errors.h"

namespace cllm {

IdMap::IdMap() : slots_(1024) {}

size_t IdMap::slot_of(std::string_view id, uint64_t hash) const {
  const size_t mask = slots_.size() - 1;
  const uint32_t tag = tag_of(hash);
  size_t slot = hash & mask;
  while (slots_[slot].place != kFree && (slots_[slot].tag != tag || id_at(slots_[slot].place) != id))
    slot = (slot + 1) & mask;
  return slot;
}

uint32_t IdMap::intern(std::string_view id) {
  const uint64_t hash = XXH3_64bits(id.data(), id.size());
  size_t slot = slot_of(id, hash);
  if (slots_[slot].place != kFree) return entry(slots_[slot].place).number;
  if (places_.size() >= INT32_MAX) throw DataError("more than 2^31 - 1 different users or items");
  if ((places_.size() + 1) * 4 > slots_.size() * 3) {
    grow();
    slot = slot_of(id, hash);
  }
  const auto number = static_cast<uint32_t>(places_.size());
  places_.push_back(store(id, number));
  slots_[slot].place = places_.back() & kFree;
  slots_[slot].tag = tag_of(hash) & 0xFFFFFF;
  return number;
}

std::optional<uint32_t> IdMap::find(std::string_view id) const {
  const Slot slot = slots_[slot_of(id, XXH3_64bits(id.data(), id.size()))];
  return slot.place == kFree ? std::nullopt : std::optional(entry(slot.place).number);
}

void IdMap::fetch(std::span<const std::string_view> ids) {
  fetched_.clear();
  for (const std::string_view id : ids) {
    fetched_.push_back(XXH3_64bits(id.data(), id.size()) & (slots_.size() - 1));
    __builtin_prefetch(&slots_[fetched_.back()]);
  }
  for (const size_t slot : fetched_) {
    const uint64_t place = slots_[slot].place;
    if (place != kFree) __builtin_prefetch(blocks_[place / kBlockBytes].get() + place % kBlockBytes);
  }
}

std::string_view IdMap::name(uint32_t number) const { return id_at(places_[number]); }

IdMap::Entry IdMap::entry(uint64_t place) const {
  const char* const at = blocks_[place / kBlockBytes].get() + place % kBlockBytes;
  Entry entry{};
  std::memcpy(&entry.number, at, sizeof entry.number);
  std::memcpy(&entry.length, at + sizeof entry.number, sizeof entry.length);
  return entry;
}

std::string_view IdMap::id_at(uint64_t place) const {
  return {blocks_[place / kBlockBytes].get() + place % kBlockBytes + kEntryBytes, entry(place).length};
}

uint64_t IdMap::store(std::string_view id, uint32_t number) {
  if (id.size() > kMaxLength) throw std::length_error("id longer than IdMap::kMaxLength");
  const auto length = static_cast<uint16_t>(id.size());
  if (block_used_ + kEntryBytes + id.size() > kBlockBytes) {
    blocks_.push_back(std::make_unique<char[]>(kBlockBytes));
    block_used_ = 0;
  }
  char* const at = blocks_.back().get() + block_used_;
  std::memcpy(at, &number, sizeof number);
  std::memcpy(at + sizeof number, &length, sizeof length);
  std::memcpy(at + kEntryBytes, id.data(), id.size());
  const uint64_t place = (blocks_.size() - 1) * kBlockBytes + block_used_;
  if (place >= kFree) throw std::length_error("more ids than IdMap can place: 1 TiB of characters");
  block_used_ += kEntryBytes + id.size();
  return place;
}

void IdMap::grow() {
  std::vector<Slot> old(slots_.size() * 2);
  old.swap(slots_);
  const size_t mask = slots_.size() - 1;
  for (const Slot& entry : old) {
    if (entry.place == kFree) continue;
    const std::string_view id = id_at(entry.place);
    size_t slot = XXH3_64bits(id.data(), id.size()) & mask;
    while (slots_[slot].place != kFree) slot = (slot + 1) & mask;
    slots_[slot] = entry;
  }
}

size_t IdMap::memory_bytes() const {
  return blocks_.size() * kBlockBytes + places_.capacity() * sizeof(uint64_t) + slots_.size() * sizeof(Slot);
}

}  // namespace cllm
