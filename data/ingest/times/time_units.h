#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "data/ingest/reading/problems.h"

namespace cllm {

/// Watches that all times of a corpus are of one unit: a second of one file and a millisecond of another would be
/// sorted as numbers without a word. What is below a year of seconds may be any order, and is not judged.
class TimeUnits {
 public:
  void add(int64_t time, Origin origin);
  /// Times of the corpus that is extended, whose rows have no place.
  void add_old(int64_t time) { add(time, {kOld, 0}); }

  /// DataError if more than the share `limit` of the times is of other units than the most; less is a note, and so is
  /// one time for all, and 0 or -1 among seconds since 1970: what programs write where they know no time.
  void check(double limit, ProblemLog& log) const;

 private:
  static constexpr uint64_t kOld = 0;  // lines begin with 1
  static constexpr size_t kUnits = 4;  // seconds, milli-, micro-, nanoseconds

  struct Tally {
    uint64_t count = 0;
    int64_t first = 0;
    Origin origin;
  };
  std::string example(size_t unit, const ProblemLog& log) const;

  std::array<Tally, kUnits> tallies_;
  Tally none_;  // 0 and -1
  uint64_t times_ = 0;
  int64_t least_ = INT64_MAX, most_ = INT64_MIN;
};

}  // namespace cllm
