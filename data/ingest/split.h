#pragma once

#include <span>

#include "data/ingest/filter.h"
#include "data/ingest/interactions.h"
#include "data/ingest/time_cut.h"

namespace cllm {

/// Sets the parts of one user's whole history (for a random split in the order of item numbers; it is reordered). `key`
/// is the user's random stream; `cuts` belong to a split by time. What a corpus that is extended trains on stays in
/// training; of a random split all that it has stays where it is, and the new is split by itself.
void split_history(std::span<Pair> history, SplitMethod method, uint64_t key, const TimeCuts& cuts = {});

/// Earlier first; equal times as they stood in the input.
void sort_by_time(std::span<Pair> history);

/// Interactions of the corpus as numbers that sort by (user, part, item): 31 bits of user, 2 of part, 31 of item.
using PackedPair = uint64_t;
constexpr PackedPair pack(uint32_t user, Part part, uint32_t item) {
  return (uint64_t{user} << 33) | (static_cast<uint64_t>(part) << 31) | item;
}
constexpr uint32_t packed_user(PackedPair pair) { return static_cast<uint32_t>(pair >> 33); }
constexpr Part packed_part(PackedPair pair) { return static_cast<Part>((pair >> 31) & 3); }
constexpr uint32_t packed_item(PackedPair pair) { return static_cast<uint32_t>(pair & 0x7FFFFFFF); }

/// An interaction of the corpus; sorts as its pair.
struct SplitPair {
  PackedPair pair = 0;
  int64_t time = 0;
  uint32_t place : 31 = 0;   // in the user's whole history, in time order
  uint32_t trained : 1 = 0;  // by the corpus that is extended
  float rating = 0;

  bool operator<(const SplitPair& other) const { return pair < other.pair; }
};

/// Splits every surviving history and adds its pairs, by internal ids. Fills the report of a split by time.
void split_interactions(RecordFile<Pair>& pairs, const InternalIds& ids, IngestFolder& work,
                        ExternalSorter<SplitPair>& out);

}  // namespace cllm
