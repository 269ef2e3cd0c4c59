#pragma once

#include <cstdint>
#include <vector>

#include "data/ingest/interactions.h"

namespace cllm {

inline constexpr uint32_t kDropped = ~uint32_t{0};

/// Internal ids of what stays, by raw number; kDropped for the rest.
struct InternalIds {
  std::vector<uint32_t> users, items;
  uint32_t num_users = 0, num_items = 0;
};

/// Iterative k-core with a minimum history of users, then a seeded random permutation of the survivors (raw order ->
/// internal ids). Those of a corpus that is extended survive and keep their ids. Without a filter everything that is
/// known stays, users and items without interactions included.
InternalIds filter_and_permute(RecordFile<Pair>& pairs, IngestFolder& work);

}  // namespace cllm
