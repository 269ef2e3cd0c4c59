#include "data/ingest/split.h"

#include <algorithm>
#include <tuple>
#include <vector>

#include "data/random.h"

namespace cllm {
namespace {

constexpr size_t kMinimum = 3;  // one item for each part

/// Users of whom not time, but the place in the input decides what is held out.
struct Ties {
  uint64_t users = 0, of = 0;

  void add(std::span<const Pair> by_time) {
    if (by_time.size() < kMinimum) return;
    ++of;
    for (size_t n = by_time.size() - 1; n + 2 >= by_time.size(); --n) {
      const Pair &a = by_time[n - 1], &b = by_time[n];
      if (!a.has_time() || std::tuple(a.time, a.fraction) != std::tuple(b.time, b.fraction)) continue;
      ++users;
      return;
    }
  }
};

}  // namespace

void sort_by_time(std::span<Pair> history) {
  // A corpus keeps no fractions: what it has is before what is new in the same second.
  const auto when = [](const Pair& p) {
    return std::tuple(p.time, !p.known, p.fraction, uint64_t{p.file}, uint64_t{p.line});
  };
  std::sort(history.begin(), history.end(), [&](const Pair& a, const Pair& b) { return when(a) < when(b); });
}

void split_history(std::span<Pair> history, SplitMethod method, uint64_t key, const TimeCuts& cuts) {
  constexpr size_t kShare = 10;  // one in ten for validation, one in ten for test
  if (method == SplitMethod::kFile) return;
  const auto set = [](Pair& pair, Part part) {
    pair.part = static_cast<uint64_t>(pair.trained ? Part::kTrain : part) & 3;
  };
  if (method == SplitMethod::kTime) {
    for (Pair& pair : history) set(pair, cuts.part_of(pair.time));
    return;
  }
  if (method == SplitMethod::kLeaveLastOut) {
    sort_by_time(history);
  } else {
    const auto first_new = std::stable_partition(history.begin(), history.end(), [](const Pair& p) { return p.known; });
    history = history.subspan(static_cast<size_t>(first_new - history.begin()));
    CounterRng rng(key);
    rng.shuffle(history);
  }
  const size_t count = history.size();
  const bool holds_out = count >= kMinimum;
  const size_t each = !holds_out ? 0 : method == SplitMethod::kLeaveLastOut ? 1 : std::max<size_t>(1, count / kShare);
  for (size_t n = 0; n < count; ++n) {
    const Part part = n >= count - each ? Part::kTest : n >= count - 2 * each ? Part::kValidation : Part::kTrain;
    set(history[n], part);
  }
}

void split_interactions(RecordFile<Pair>& pairs, const InternalIds& ids, IngestFolder& work,
                        ExternalSorter<SplitPair>& out) {
  const PrepareOptions& options = work.options;
  const bool by_time = options.split == SplitMethod::kTime;
  const TimeCuts cuts = by_time ? find_time_cuts(pairs, ids, work) : TimeCuts{};
  Latecomers late(by_time ? ids.num_users : 0, by_time ? ids.num_items : 0);
  Ties ties;
  std::vector<Pair> history;
  const auto flush = [&] {
    if (history.empty()) return;
    split_history(history, options.split, stream_key(options.seed, Purpose::kSplit, history[0].user), cuts);
    sort_by_time(history);
    if (options.split == SplitMethod::kLeaveLastOut) ties.add(history);
    uint32_t place = 0;
    for (const Pair& pair : history) {
      const uint32_t user = ids.users[pair.user], item = ids.items[pair.item];
      const auto part = static_cast<Part>(pair.part);
      out.add({pack(user, part, item), pair.time, place++ & 0x7FFFFFFF, pair.trained != 0 ? 1u : 0u, pair.rating});
      if (by_time) late.add(user, item, part);
    }
    history.clear();
  };
  constexpr uint64_t kReportEvery = 1 << 16;
  uint64_t read = 0;
  auto stream = pairs.read();
  for (Pair pair; stream.next(pair); ++read) {
    if (options.progress && read % kReportEvery == 0) options.progress("splitting", read, pairs.size());
    if (ids.users[pair.user] == kDropped || ids.items[pair.item] == kDropped) continue;
    if (!history.empty() && history[0].user != pair.user) flush();
    history.push_back(pair);
  }
  flush();
  if (ties.users > 0)
    work.log.note("of " + std::to_string(ties.users) + " of " + std::to_string(ties.of) +
                  " users the last or the one before has the time of another: which is held out is as in the file");
  if (by_time) work.report.time_split = {cuts.validation, cuts.test, late.users(), late.items()};
}

}  // namespace cllm
