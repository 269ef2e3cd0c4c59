#pragma once

#include <span>

#include "data/ingest/filter.h"
#include "data/ingest/interactions.h"

namespace cllm {

/// Sets the parts of one user's whole history (in any order; it may be reordered). `key` is the user's random stream.
void split_history(std::span<Pair> history, SplitMethod method, uint64_t key);

/// Interactions of the corpus as numbers that sort by (user, part, item): 31 bits of user, 2 of part, 31 of item.
using PackedPair = uint64_t;
constexpr PackedPair pack(uint32_t user, Part part, uint32_t item) {
  return (uint64_t{user} << 33) | (static_cast<uint64_t>(part) << 31) | item;
}
constexpr uint32_t packed_user(PackedPair pair) { return static_cast<uint32_t>(pair >> 33); }
constexpr Part packed_part(PackedPair pair) { return static_cast<Part>((pair >> 31) & 3); }
constexpr uint32_t packed_item(PackedPair pair) { return static_cast<uint32_t>(pair & 0x7FFFFFFF); }

/// Splits every surviving history and adds its pairs, by internal ids.
void split_interactions(RecordFile<Pair>& pairs, const InternalIds& ids, const PrepareOptions& options,
                        ExternalSorter<PackedPair>& out);

}  // namespace cllm
