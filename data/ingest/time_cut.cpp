#include "data/ingest/time_cut.h"

#include <algorithm>
#include <cmath>

#include "data/errors.h"

namespace cllm {
namespace {

constexpr uint64_t kTimeSortShare = 4;  // as every sort of prepare

/// The place of the first interaction after so large a share of them.
uint64_t place_after(double share, uint64_t count) {
  return std::min(count, static_cast<uint64_t>(std::llround(share * static_cast<double>(count))));
}

void require_times(const IngestFolder& work) {
  if (work.timed_rows == work.rows) return;
  throw DataError("the split by time needs the time of every interaction, but " +
                  std::to_string(work.rows - work.timed_rows) + " of " + std::to_string(work.rows) +
                  " have none; add a column 'time', or split by random or leave-last-out");
}

}  // namespace

void check_time_shares(const std::array<double, kNumParts>& shares) {
  if (shares[0] > 0 && shares[1] >= 0 && shares[2] >= 0 && std::abs(shares[0] + shares[1] + shares[2] - 1) < 1e-6)
    return;
  throw DataError(
      "the shares of a split by time must not be negative, that of training not 0, and their sum 1; they "
      "are " +
      std::to_string(shares[0]) + ", " + std::to_string(shares[1]) + ", " + std::to_string(shares[2]));
}

TimeCuts find_time_cuts(RecordFile<Pair>& pairs, const InternalIds& ids, const IngestFolder& work) {
  require_times(work);
  ExternalSorter<int64_t> times(work.folder, work.options.memory_bytes / kTimeSortShare);
  auto stream = pairs.read();
  for (Pair pair; stream.next(pair);) {
    if (ids.users[pair.user] != kDropped && ids.items[pair.item] != kDropped) times.add(pair.time);
  }
  times.finish();
  const auto& shares = work.options.time_shares;
  const uint64_t validation = place_after(shares[0], times.size());
  const uint64_t test = place_after(shares[0] + shares[1], times.size());
  TimeCuts cuts;
  int64_t time = 0, first = 0;
  for (uint64_t place = 0; place <= test && times.next(time); ++place) {
    if (place == 0) first = time;
    if (place == validation) cuts.validation = time;
    if (place == test) cuts.test = time;
  }
  if (cuts.validation && *cuts.validation == first) {
    throw DataError("the split by time leaves nothing for training: no interaction is earlier than the first cut, at " +
                    std::to_string(first) + "; give training a larger share, or split by random or leave-last-out");
  }
  return cuts;
}

void Latecomers::add(uint32_t user, uint32_t item, Part part) {
  const Seen seen = part == Part::kTrain ? kInTraining : kLate;
  users_[user] = std::max(users_[user], seen);
  items_[item] = std::max(items_[item], seen);
}

uint64_t Latecomers::count(const std::vector<Seen>& seen) {
  return static_cast<uint64_t>(std::count(seen.begin(), seen.end(), kLate));
}

}  // namespace cllm
