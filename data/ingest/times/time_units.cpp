#include "data/ingest/times/time_units.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "data/errors.h"

namespace cllm {
namespace {

constexpr std::array<const char*, 9> kNames = {
    "in seconds",       "in milliseconds",         "in microseconds",           "in nanoseconds", "dates",
    "days as 20180704", "minutes as 201807042209", "seconds as 20180704220911", "plain numbers"};

bool is_day(int64_t number) {
  constexpr int64_t kFirst = 19700101, kLast = 20691231;
  const int64_t month = number / 100 % 100, day = number % 100;
  return number >= kFirst && number <= kLast && month >= 1 && month <= 12 && day >= 1 && day <= 31;
}

/// hhmm or mmss.
bool is_clock(int64_t number, int64_t most) { return number / 100 <= most && number % 100 < 60; }

}  // namespace

TimeUnits::Form TimeUnits::form_of(int64_t time, bool is_date) {
  if (is_date) return kDates;
  constexpr int64_t kMinutes = 10'000, kSeconds14 = 1'000'000;  // behind the day
  if (is_day(time)) return kDays;
  if (is_day(time / kMinutes) && is_clock(time % kMinutes, 23)) return kWrittenMinutes;
  if (is_day(time / kSeconds14) && is_clock(time % kSeconds14 / 100, 23) && time % 100 < 60) return kWrittenSeconds;
  // Seconds from 1971 to the year 11000, the others from 1979: no two units overlap.
  constexpr int64_t kFirstSecond = 30'000'000, kFirstOfNext = 300'000'000'000, kThousand = 1000;
  if (time < kFirstSecond) return kNumbers;
  size_t unit = kSeconds;
  for (int64_t end = kFirstOfNext; unit < kNano && time >= end; ++unit) end *= kThousand;
  return static_cast<Form>(unit);
}

void TimeUnits::add(const Moment& time, Origin origin, bool is_date) {
  ++times_;
  least_ = std::min(least_, time.time);
  most_ = std::max(most_, time.time);
  const bool none = time.time == 0 || time.time == -1;
  if (none && none_.count++ == 0) none_ = {1, time.time, origin};
  if (none) return;
  Tally& tally = tallies_[form_of(time.time, is_date)];
  if (tally.count++ == 0) tally = {1, time.time, origin};
}

std::array<uint64_t, TimeUnits::kForms> TimeUnits::judged() const {
  std::array<uint64_t, kForms> counts;
  for (size_t form = 0; form < kForms; ++form) counts[form] = tallies_[form].count;
  const bool dates = counts[kDates] > 0;
  if (!dates && counts[kDays] <= counts[kNumbers]) counts[kDays] = 0;  // numbers of an order
  if (!dates) counts[kNumbers] = 0;
  counts[kSeconds] += std::exchange(counts[kDates], 0);
  return counts;
}

std::string TimeUnits::example(size_t form, const ProblemLog& log) const {
  if (form == kSeconds && tallies_[kDates].count > tallies_[kSeconds].count) form = kDates;
  const Tally& tally = tallies_[form];
  return std::string(kNames[form]) + " (" +
         (tally.origin.line == kOld ? "the corpus that is extended" : log.where(tally.origin)) + ": " +
         (form == kDates ? day_of(tally.first) : std::to_string(tally.first)) + ")";
}

void TimeUnits::check(double limit, ProblemLog& log) const {
  if (times_ > 1 && least_ == most_) {
    log.note("all times are " + std::to_string(least_) + ": what comes first in a history is what comes first in the " +
             "file");
  }
  const std::array<uint64_t, kForms> counts = judged();
  const uint64_t sum = std::accumulate(counts.begin(), counts.end(), uint64_t{0});
  const auto most = static_cast<size_t>(std::max_element(counts.begin(), counts.end()) - counts.begin());
  if (none_.count > 0 && sum * 2 > times_) {
    log.note(std::to_string(none_.count) + " of " + std::to_string(times_) + " times are 0 or -1 (" +
             (none_.origin.line == kOld ? "the corpus that is extended" : log.where(none_.origin)) + ": " +
             std::to_string(none_.first) + "): are they missing? They come first in their histories");
  }
  size_t other = kForms;
  for (size_t form = 0; form < kForms; ++form) {
    if (form != most && counts[form] > 0) other = form;
  }
  if (other == kForms) return;
  const uint64_t others = sum - counts[most];
  const std::string what = std::to_string(others) + " of " + std::to_string(sum) + " times are " + example(other, log) +
                           ", the others " + example(most, log);
  if (static_cast<double>(others) > limit * static_cast<double>(sum))
    throw DataError(what + ": they would be sorted as numbers; bring them to one form");
  log.note(what + ": sorted as numbers");
}

}  // namespace cllm
