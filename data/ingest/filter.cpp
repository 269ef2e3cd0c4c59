#include "data/ingest/filter.h"

#include <numeric>

#include "data/errors.h"
#include "data/ingest/files/input_files.h"
#include "data/random.h"

namespace cllm {
namespace {

using Flags = std::vector<uint8_t>;

/// Clears the flags of those from `first` on with less than `minimum` interactions; how many were cleared.
uint64_t drop_below(int64_t minimum, const std::vector<uint32_t>& degrees, size_t first, Flags& alive) {
  uint64_t dropped = 0;
  for (size_t n = first; n < alive.size(); ++n) {
    if (alive[n] == 0 || degrees[n] >= minimum) continue;
    alive[n] = 0;
    ++dropped;
  }
  return dropped;
}

/// Every pass counts the interactions between survivors and drops what has too few, until a pass drops nothing.
void run_k_core(RecordFile<Pair>& pairs, IngestFolder& work, Flags& users, Flags& items) {
  const PrepareOptions& options = work.options;
  const int64_t user_minimum = std::max(options.k_core, options.min_history);
  std::vector<uint32_t> user_degrees, item_degrees;
  uint64_t dropped = 1;
  for (uint64_t pass = 1; dropped > 0; ++pass) {
    user_degrees.assign(users.size(), 0);
    item_degrees.assign(items.size(), 0);
    uint64_t kept = 0;
    auto stream = pairs.read();
    for (Pair pair; stream.next(pair);) {
      if ((users[pair.user] & items[pair.item]) == 0) continue;
      ++user_degrees[pair.user];
      ++item_degrees[pair.item];
      ++kept;
    }
    work.report.filtered_interactions = pairs.size() - kept;
    dropped = drop_below(user_minimum, user_degrees, work.old_users.size(), users);
    const uint64_t dropped_items = drop_below(options.k_core, item_degrees, work.old_items.size(), items);
    work.report.filtered_users += dropped;
    work.report.filtered_items += dropped_items;
    dropped += dropped_items;
    if (options.progress) options.progress("filtering (passes)", pass, 0);
  }
}

/// Survivors in raw order get the entries of a random permutation, behind those of the corpus that is extended.
uint32_t permute(const Flags& alive, uint64_t stream, const std::vector<uint32_t>& old,
                 std::vector<uint32_t>& internal) {
  const auto first = static_cast<uint32_t>(old.size());
  const auto count = static_cast<uint32_t>(std::accumulate(alive.begin() + first, alive.end(), uint64_t{0}));
  std::vector<uint32_t> permutation(count);
  std::iota(permutation.begin(), permutation.end(), 0u);
  CounterRng rng(stream);
  rng.shuffle(std::span(permutation));
  internal = old;
  internal.resize(alive.size(), kDropped);
  uint32_t next = 0;
  for (size_t n = first; n < alive.size(); ++n) {
    if (alive[n] != 0) internal[n] = first + permutation[next++];
  }
  return first + count;
}

}  // namespace

InternalIds filter_and_permute(RecordFile<Pair>& pairs, IngestFolder& work) {
  Flags users(work.users.size(), 1), items(work.items.size(), 1);
  if (work.options.k_core > 0 || work.options.min_history > 0) run_k_core(pairs, work, users, items);
  InternalIds ids;
  ids.num_users = permute(users, stream_key(work.options.seed, Purpose::kIngest, 0), work.old_users, ids.users);
  ids.num_items = permute(items, stream_key(work.options.seed, Purpose::kIngest, 1), work.old_items, ids.items);
  if (ids.num_users == 0 || ids.num_items == 0 || pairs.size() == 0) {
    const std::string files = list_of_names(work.log.files());
    if (work.report.below_threshold + work.report.filtered_interactions == 0 && work.log.bad_rows() > 0)
      throw DataError("no interaction is there in " + files + ": of " + std::to_string(work.log.rows()) +
                      " rows read " + std::to_string(work.log.bad_rows()) +
                      " are bad; a lower --error-limit shows examples");
    if (work.report.below_threshold + work.report.filtered_interactions == 0)
      throw DataError("no interaction is there in " + files + ": no rows, or a header alone");
    throw DataError("no interaction is left: " + std::to_string(work.log.rows()) + " rows read, " +
                    std::to_string(work.report.below_threshold) + " below the rating threshold, " +
                    std::to_string(work.report.filtered_interactions) +
                    " removed by k-core and minimum history; lower these");
  }
  return ids;
}

}  // namespace cllm
