#include "data/ingest/times/time_units.h"

#include <algorithm>

#include "data/errors.h"

namespace cllm {
namespace {

constexpr std::array<const char*, 4> kNames = {"seconds", "milliseconds", "microseconds", "nanoseconds"};

}  // namespace

void TimeUnits::add(int64_t time, Origin origin) {
  ++times_;
  least_ = std::min(least_, time);
  most_ = std::max(most_, time);
  // Seconds from 1971 to the year 11000, the others from 1979: no two units overlap.
  constexpr int64_t kFirstSecond = 30'000'000, kFirstOfNext = 300'000'000'000, kThousand = 1000;
  if ((time == 0 || time == -1) && none_.count++ == 0) none_ = {1, time, origin};
  if (time < kFirstSecond) return;
  size_t unit = 0;
  for (int64_t end = kFirstOfNext; unit + 1 < kUnits && time >= end; ++unit) end *= kThousand;
  Tally& tally = tallies_[unit];
  if (tally.count++ == 0) tally = {1, time, origin};
}

std::string TimeUnits::example(size_t unit, const ProblemLog& log) const {
  const Tally& tally = tallies_[unit];
  return std::string(kNames[unit]) + " (" +
         (tally.origin.line == kOld ? "the corpus that is extended" : log.where(tally.origin)) + ": " +
         std::to_string(tally.first) + ")";
}

void TimeUnits::check(double limit, ProblemLog& log) const {
  if (times_ > 1 && least_ == most_) {
    log.note("all times are " + std::to_string(least_) + ": what comes first in a history is what comes first in the " +
             "file");
  }
  size_t most = 0, other = kUnits;
  uint64_t judged = 0;
  for (size_t unit = 0; unit < kUnits; ++unit) {
    judged += tallies_[unit].count;
    if (tallies_[unit].count > tallies_[most].count) most = unit;
  }
  for (size_t unit = 0; unit < kUnits; ++unit) {
    if (unit != most && tallies_[unit].count > 0) other = unit;
  }
  if (none_.count > 0 && judged * 2 > times_) {
    log.note(std::to_string(none_.count) + " of " + std::to_string(times_) + " times are 0 or -1 (" +
             (none_.origin.line == kOld ? "the corpus that is extended" : log.where(none_.origin)) + ": " +
             std::to_string(none_.first) + "): are they missing? They come first in their histories");
  }
  if (other == kUnits) return;
  const uint64_t others = judged - tallies_[most].count;
  const std::string what = std::to_string(others) + " of " + std::to_string(judged) + " times are in " +
                           example(other, log) + ", the others in " + example(most, log);
  if (static_cast<double>(others) > limit * static_cast<double>(judged))
    throw DataError(what + ": they would be sorted as numbers; bring them to one unit");
  log.note(what + ": sorted as numbers");
}

}  // namespace cllm
