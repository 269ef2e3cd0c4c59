#include "data/ingest/times/extremes.h"

#include <algorithm>

namespace cllm {
namespace {

constexpr size_t kKept = 8;
constexpr double kFar = 10;   // times as far from the others as those are from each other
constexpr uint64_t kFew = 5;  // one in so many
constexpr int64_t kFirstUsual = 315'619'200, kBehindUsual = 2'147'483'647;  // 1980-01-02 and 2038-01-19

/// Keeps the farthest on one side. Of those that are left in the end, none was ever not among them.
void keep(std::vector<Extremes::End>& ends, const Extremes::End& one, bool last) {
  const auto farther = [&](const Extremes::End& a, const Extremes::End& b) {
    return last ? a.time > b.time : a.time < b.time;
  };
  if (ends.size() == kKept && farther(ends.back(), one)) return;
  const auto at = std::lower_bound(ends.begin(), ends.end(), one, farther);
  if (at != ends.end() && at->time == one.time) {
    ++at->count;
    return;
  }
  ends.insert(at, one);
  if (ends.size() > kKept) ends.pop_back();
}

}  // namespace

void Extremes::add(int64_t time, bool is_date, Origin origin) {
  ++times_;
  int64_t scale = 1;
  for (uint64_t& count : usual_) {
    count += time >= kFirstUsual * scale && time < kBehindUsual * scale ? 1 : 0;
    scale *= 1000;
  }
  keep(least_, {time, is_date, origin, 1}, false);
  keep(most_, {time, is_date, origin, 1}, true);
}

std::optional<Extremes::End> Extremes::end(const std::vector<End>& ends, const std::vector<End>& others,
                                           int side) const {
  const auto unit = std::ranges::max_element(usual_);
  int64_t scale = 1;
  for (auto before = usual_.begin(); before != unit; ++before) scale *= 1000;
  const bool dated = *unit * 2 > times_;
  const auto is_odd = [&](int64_t time) {
    return side < 0 ? time < kFirstUsual * scale : time >= kBehindUsual * scale;
  };
  size_t odd = 0;
  while (dated && odd < ends.size() && is_odd(ends[odd].time)) ++odd;
  if (!dated && ends.size() == kKept) {
    const auto between = [](int64_t a, int64_t b) { return a > b ? double(a) - double(b) : double(b) - double(a); };
    const double range = between(ends[1].time, others.front().time);
    if (range > 0 && between(ends[0].time, ends[1].time) > kFar * range) odd = 1;
  }
  if (odd == 0) return {};
  End found = *std::max_element(ends.begin(), ends.begin() + static_cast<std::ptrdiff_t>(odd),
                                [](const End& a, const End& b) { return a.count < b.count; });
  found.count = 0;
  for (size_t n = 0; n < odd; ++n) found.count += ends[n].count;
  if ((!dated && found.count < 2) || found.count * kFew > times_) return {};
  return found;
}

}  // namespace cllm
