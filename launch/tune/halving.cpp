#include "launch/tune/halving.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace cllm {
namespace {

/// The best of a rung, at most `most`, that a rung higher has not seen.
std::optional<Move> promoted(std::span<const RungScore> known, int rung, int64_t most) {
  std::vector<RungScore> here;
  std::ranges::copy_if(known, std::back_inserter(here),
                       [&](const RungScore& one) { return one.rung == rung && one.score; });
  std::ranges::stable_sort(here, [](const RungScore& a, const RungScore& b) {
    return *a.score != *b.score ? *a.score > *b.score : a.trial < b.trial;
  });
  for (size_t n = 0; n < here.size() && static_cast<int64_t>(n) < most; ++n) {
    const bool seen = std::ranges::any_of(
        known, [&](const RungScore& one) { return one.rung == rung + 1 && one.trial == here[n].trial; });
    if (!seen) return Move{here[n].trial, rung + 1};
  }
  return {};
}

}  // namespace

int rungs_of(int64_t epochs, int64_t factor, int64_t most) {
  int rungs = 1;
  for (int64_t lowest = epochs / factor; rungs < most && lowest >= 1; lowest /= factor) ++rungs;
  return rungs;
}

int64_t epochs_at(int rung, int rungs, int64_t epochs, int64_t factor) {
  if (rung + 1 >= rungs) return 0;
  const double share = std::pow(static_cast<double>(factor), rungs - 1 - rung);
  return std::max<int64_t>(1, std::llround(static_cast<double>(epochs) / share));
}

std::optional<Move> next_move(const Halving& how, std::span<const RungScore> known) {
  const auto num_in = [&](int rung) {
    return std::ranges::count_if(known, [&](const RungScore& one) { return one.rung == rung; });
  };
  for (int rung = how.rungs - 2; rung >= 0; --rung) {
    const int64_t most = num_in(rung) / how.factor;
    if (num_in(rung + 1) >= most) continue;  // early leaders are few; the last word is that of all trials, below
    if (const auto move = promoted(known, rung, most)) return move;
  }
  int64_t started = 0;
  for (const RungScore& one : known) started = std::max(started, one.trial + 1);
  if (started < how.trials) return Move{started, 0};
  for (int rung = 0; rung + 1 < how.rungs; ++rung) {
    if (const auto move = promoted(known, rung, std::max<int64_t>(1, num_in(rung) / how.factor))) return move;
  }
  return {};
}

}  // namespace cllm
