#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <vector>

namespace cllm {

/// What one rank did in one step: seconds outside of waits for others, and tokens.
struct RankWork {
  double own_s = 0;
  double tokens = 0;
};

struct Straggler {
  int rank = 0;
  double factor = 0;  // its time, as a multiple of the others' median for the same work
};

/// Finds a rank that is steadily slower than the others (RELIABILITY.md R13). A rank is named when it took more than
/// kSlow times the others' median in at least kSlowSteps of the last kWindow steps, and kSlow times as long in sum; and
/// not again before it was well for a window. A rank with more tokens may take proportionally longer. Over a window of
/// less than kShortWindow_s, steps of a few milliseconds, shared cores make healthy ranks up to 1.5 times slower, and
/// for some hundred milliseconds twice: there the limit is kSlowIfShort, and it must have lasted for kSlowFor_s.
class StragglerWatch {
 public:
  static constexpr double kSlow = 1.4, kSlowIfShort = 1.6, kShortWindow_s = 1, kSlowFor_s = 1;
  static constexpr size_t kWindow = 16, kSlowSteps = 12;

  /// One step of all ranks, in rank order.
  std::optional<Straggler> add(std::span<const RankWork> ranks);

 private:
  struct History {
    std::deque<double> own_s, expected_s;
    double slow_s = 0;  // for how long, since it was well in half of a window
    bool named = false;
  };
  std::vector<History> ranks_;
};

}  // namespace cllm
