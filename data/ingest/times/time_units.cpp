#include "data/ingest/times/time_units.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "data/errors.h"
#include "data/ingest/values/days.h"

namespace cllm {
namespace {

constexpr std::array<const char*, 9> kNames = {
    "in seconds",       "in milliseconds",         "in microseconds",           "in nanoseconds", "dates",
    "days as 20180704", "minutes as 201807042209", "seconds as 20180704220911", "plain numbers"};

/// hhmm or mmss.
bool is_clock(int64_t number, int64_t most) { return number / 100 <= most && number % 100 < 60; }

}  // namespace

TimeUnits::Form TimeUnits::form_of(int64_t time, bool is_date) {
  if (is_date) return kDates;
  constexpr int64_t kMinutes = 10'000, kSeconds14 = 1'000'000;  // behind the day
  if (is_written_day(time)) return kDays;
  if (is_written_day(time / kMinutes) && is_clock(time % kMinutes, 23)) return kWrittenMinutes;
  if (is_written_day(time / kSeconds14) && is_clock(time % kSeconds14 / 100, 23) && time % 100 < 60)
    return kWrittenSeconds;
  // Seconds from 1971 to the year 11000, the others from 1979: no two units overlap.
  constexpr int64_t kFirstSecond = 30'000'000, kFirstOfNext = 300'000'000'000, kThousand = 1000;
  if (time < kFirstSecond) return kNumbers;
  size_t unit = kSeconds;
  for (int64_t end = kFirstOfNext; unit < kNano && time >= end; ++unit) end *= kThousand;
  return static_cast<Form>(unit);
}

void TimeUnits::add(const Moment& time, Origin origin, bool is_date) { count(time, origin, is_date, tallies_); }

void TimeUnits::count(const Moment& time, Origin origin, bool is_date, Tallies& tallies) {
  ++times_;
  least_ = std::min(least_, time);
  most_ = std::max(most_, time);
  const bool none = time.time == 0 || time.time == -1;
  if (none && none_.count++ == 0) none_ = {1, time.time, origin};
  if (none) return;
  if (&tallies == &tallies_) extremes_.add(time.time, is_date, origin);
  const Form form = form_of(time.time, is_date);
  if (form == kSeconds) least_second_ = std::min(least_second_, time.time);
  Tally& tally = tallies[form];
  if (tally.count++ == 0) tally = {1, time.time, origin};
}

std::array<uint64_t, TimeUnits::kForms> TimeUnits::judged(const Tallies& tallies) const {
  constexpr int64_t kFarFromNumbers = 600'000'000;  // seconds from 1989 on
  std::array<uint64_t, kForms> counts;
  for (size_t form = 0; form < kForms; ++form) counts[form] = tallies[form].count;
  const bool dates = counts[kDates] > 0;
  if (!dates && counts[kDays] <= counts[kNumbers]) counts[kNumbers] += std::exchange(counts[kDays], 0);
  // Numbers alone, one count of them that goes on, or seconds across 1970.
  const bool goes_on = least_second_ < kFarFromNumbers || least_second_ == INT64_MAX || least_.time < -1;
  if (!dates && goes_on) counts[kNumbers] = 0;
  counts[kSeconds] += std::exchange(counts[kDates], 0);
  return counts;
}

std::string TimeUnits::example(const Tallies& tallies, size_t form, const ProblemLog& log) {
  if (form == kSeconds && tallies[kDates].count > tallies[kSeconds].count) form = kDates;
  if (form == kNumbers && tallies[kNumbers].count == 0) form = kDays;
  const Tally& tally = tallies[form];
  return std::string(kNames[form]) + " (" +
         (tally.origin.line == kOld ? "the corpus that is extended" : log.where(tally.origin)) + ": " +
         (form == kDates ? day_of(tally.first) : std::to_string(tally.first)) + ")";
}

void TimeUnits::note_what_is_odd(uint64_t judged, ProblemLog& log) const {
  if (times_ > 1 && least_ == most_) {
    log.note("all times are " + std::to_string(least_.time) +
             ": what comes first in a history is what comes first in the file");
  }
  if (none_.count > 0 && judged * 2 > times_) {
    log.note(std::to_string(none_.count) + " of " + std::to_string(times_) + " times are 0 or -1 (" +
             (none_.origin.line == kOld ? "the corpus that is extended" : log.where(none_.origin)) + ": " +
             std::to_string(none_.first) + "): are they missing? They come first in their histories");
  }
}

void TimeUnits::judge_extremes(double limit, ProblemLog& log) const {
  const auto describe = [&](const Extremes::End& end) {
    return std::to_string(end.count) + " of " + std::to_string(times_) + " times are far from all others (" +
           log.where(end.origin) + ": " + (end.is_date ? day_of(end.time) : std::to_string(end.time)) +
           "): are they missing? ";
  };
  if (const auto first = extremes_.first()) log.note(describe(*first) + "They come first in their histories");
  const auto last = extremes_.last();
  if (!last) return;
  const std::string what = describe(*last) + "They come last in their histories, where a split by time holds out; ";
  if (static_cast<double>(last->count) > limit * static_cast<double>(times_))
    throw DataError(what + "leave such cells empty, or take the rows out");
  log.note(what + "empty cells come first");
}

void TimeUnits::check(double limit, ProblemLog& log) const {
  const auto sum_of = [](const auto& counts) { return std::accumulate(counts.begin(), counts.end(), uint64_t{0}); };
  const auto counts = judged(tallies_), old_counts = judged(old_);
  const uint64_t sum = sum_of(counts), old_sum = sum_of(old_counts);
  note_what_is_odd(sum + old_sum, log);
  const auto& wanted = old_sum > 0 ? old_counts : counts;
  const auto most = static_cast<size_t>(std::max_element(wanted.begin(), wanted.end()) - wanted.begin());
  size_t other = kForms;
  for (size_t form = 0; form < kForms; ++form) {
    if (form != most && counts[form] > 0) other = form;
  }
  if (other == kForms) return judge_extremes(limit, log);
  const uint64_t others = sum - counts[most];
  const std::string what = std::to_string(others) + " of " + std::to_string(sum) + (old_sum > 0 ? " new" : "") +
                           " times are " + example(tallies_, other, log) + ", the others " +
                           example(old_sum > 0 ? old_ : tallies_, most, log);
  if (static_cast<double>(others) > limit * static_cast<double>(sum))
    throw DataError(what + ": they would be sorted as numbers; bring them to one form");
  log.note(what + ": sorted as numbers");
}

}  // namespace cllm
