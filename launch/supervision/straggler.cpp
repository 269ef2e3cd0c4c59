#include "launch/supervision/straggler.h"

#include <algorithm>
#include <numeric>

namespace cllm {
namespace {

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return (values[(values.size() - 1) / 2] + values[values.size() / 2]) / 2;
}

/// The time that the others' median gives `rank`, which may have more tokens than they have.
double expected_s(std::span<const RankWork> ranks, size_t rank) {
  std::vector<double> seconds, tokens;
  for (size_t other = 0; other < ranks.size(); ++other) {
    if (other == rank) continue;
    seconds.push_back(ranks[other].own_s);
    tokens.push_back(ranks[other].tokens);
  }
  return median(seconds) * std::max(1.0, ranks[rank].tokens / std::max(1.0, median(tokens)));
}

double sum(const std::deque<double>& values) { return std::accumulate(values.begin(), values.end(), 0.0); }

void push(std::deque<double>& values, double value) {
  values.push_back(value);
  if (values.size() > StragglerWatch::kWindow) values.pop_front();
}

}  // namespace

std::optional<Straggler> StragglerWatch::add(std::span<const RankWork> ranks) {
  if (ranks.size() < 2) return std::nullopt;
  ranks_.resize(ranks.size());
  std::optional<Straggler> found;
  for (size_t rank = 0; rank < ranks.size(); ++rank) {
    History& history = ranks_[rank];
    push(history.own_s, ranks[rank].own_s);
    push(history.expected_s, expected_s(ranks, rank));
    if (history.own_s.size() < kWindow) continue;
    const double expected_s = sum(history.expected_s), limit = expected_s < kShortWindow_s ? kSlowIfShort : kSlow;
    size_t slow_steps = 0;
    for (size_t n = 0; n < kWindow; ++n) slow_steps += history.own_s[n] > limit * history.expected_s[n];
    const double factor = sum(history.own_s) / std::max(1e-9, expected_s);
    const bool slow = slow_steps >= kSlowSteps && factor > limit;
    if (slow) history.slow_s = std::max(history.slow_s + ranks[rank].own_s, sum(history.own_s));
    if (slow_steps < kWindow / 2) history.slow_s = 0;
    const bool steadily = history.slow_s >= kSlowFor_s;
    if (steadily && !history.named) found = Straggler{static_cast<int>(rank), factor};
    if (steadily) history.named = true;
    if (slow_steps == 0) history.named = false;
  }
  return found;
}

}  // namespace cllm
