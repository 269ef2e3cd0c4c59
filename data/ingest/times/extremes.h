#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "data/ingest/reading/problems.h"

namespace cllm {

/// Watches for what programs write for "never" and "not known": 9999-12-31, 2147483647, 1900-01-01, -999.
class Extremes {
 public:
  struct End {
    int64_t time = 0;
    bool is_date = false;
    Origin origin;       // of the first
    uint64_t count = 0;  // of times as far out
  };

  void add(int64_t time, bool is_date, Origin origin);

  /// The times on one side that are far from all others: outside of 1980 to 2037 (in any unit) where most are inside;
  /// or one number several times, ten times as far from the others as those are from each other. At most a fifth.
  std::optional<End> first() const { return end(least_, most_, -1); }
  std::optional<End> last() const { return end(most_, least_, 1); }

 private:
  static constexpr size_t kUnits = 4;  // seconds, milli, micro, nano

  std::optional<End> end(const std::vector<End>& ends, const std::vector<End>& others, int side) const;

  uint64_t times_ = 0;
  std::array<uint64_t, kUnits> usual_{};  // times of 1980 to 2037 by unit
  std::vector<End> least_, most_;         // different times, the farthest first
};

}  // namespace cllm
