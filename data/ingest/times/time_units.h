#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "data/ingest/reading/problems.h"
#include "data/ingest/times/extremes.h"
#include "data/ingest/values/moment.h"

namespace cllm {

/// Watches that all times of a corpus are of one form: a second of one file and a millisecond of another, a date and a
/// year, would be sorted as numbers without a word. Dates count as seconds. Numbers below a year of seconds may be any
/// order, and are judged only beside dates, if most of them are days as 20180704, or where a corpus and what
/// extends it are far apart.
class TimeUnits {
 public:
  void add(const Moment& time, Origin origin, bool is_date = false);
  /// Times of the corpus that is extended, whose rows have no place.
  void add_old(int64_t time) { count({time, 0}, {kOld, 0}, false, old_); }

  /// DataError if more than the share `limit` of the times is of other forms than the most, or than the most of the
  /// corpus that is extended; less is a note, and so is one time for all, and 0 or -1 among seconds since 1970: what
  /// programs write where they know no time. Other times far from all others (extremes.h) are noted if they come first,
  /// and refused beyond `limit` if they come last, where they would be held out.
  void check(double limit, ProblemLog& log) const;

 private:
  static constexpr uint64_t kOld = 0;  // lines begin with 1
  enum Form : size_t { kSeconds, kMilli, kMicro, kNano, kDates, kDays, kWrittenMinutes, kWrittenSeconds, kNumbers };
  static constexpr size_t kForms = 9;

  struct Tally {
    uint64_t count = 0;
    int64_t first = 0;
    Origin origin;
  };
  using Tallies = std::array<Tally, kForms>;
  static Form form_of(int64_t time, bool is_date);
  void count(const Moment& time, Origin origin, bool is_date, Tallies& tallies);
  /// Times by what they are compared as: dates with seconds, numbers only where they are judged.
  std::array<uint64_t, kForms> judged(const Tallies& tallies) const;
  static std::string example(const Tallies& tallies, size_t form, const ProblemLog& log);
  void note_what_is_odd(uint64_t judged, ProblemLog& log) const;
  void judge_extremes(double limit, ProblemLog& log) const;

  Tallies tallies_, old_;
  Tally none_;  // 0 and -1
  uint64_t times_ = 0;
  Moment least_{INT64_MAX, 0}, most_{INT64_MIN, 0};
  int64_t least_second_ = INT64_MAX;  // of the form kSeconds
  Extremes extremes_;
};

}  // namespace cllm
