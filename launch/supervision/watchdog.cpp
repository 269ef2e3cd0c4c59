#include "launch/supervision/watchdog.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "launch/failures/exit_codes.h"

namespace cllm {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kBeat{1000};
constexpr milliseconds kListen{2500};    // two beats of a live rank
constexpr milliseconds kFarewell{3000};  // for the others' last words
constexpr int kLastResortS = 8;          // the whole report, even if writing it blocks

std::string seconds(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f s", value);
  return text;
}

std::string describe(const Heartbeat& beat) {
  return "step " + std::to_string(beat.step) + ", " + (beat.work.empty() ? "idle" : beat.work) + ", " + beat.operation +
         ", " + std::to_string(beat.num_collectives) + " collectives";
}

}  // namespace

Watchdog::Watchdog(HeartbeatBoard board, int rank, int world_size, Log& log, std::vector<const Activity*> activities)
    : board_(std::move(board)), rank_(rank), world_size_(world_size), log_(log), activities_(std::move(activities)),
      thread_([this](const std::stop_token& stop) { run(stop); }) {}

Watchdog::~Watchdog() = default;

void Watchdog::run(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    beat(false);
    const Activity* const late = expired();
    if (late != nullptr || board_.alarm()) report_and_exit(late);
    wake_.wait_for(lock, stop, kBeat, [] { return false; });
  }
}

void Watchdog::beat(bool reported) {
  const Activity::State state = activities_.front()->state();
  board_.write({rank_, ++beats_, state.step, state.work, state.operation(), state.num_collectives,
                state.elapsed_s(Activity::now_s()), reported});
}

const Activity* Watchdog::expired() const {
  const auto late = std::ranges::find_if(
      activities_, [](const Activity* activity) { return activity->state().expired(Activity::now_s()); });
  return late == activities_.end() ? nullptr : *late;
}

void Watchdog::report_and_exit(const Activity* late) {
  std::jthread([] {
    std::this_thread::sleep_for(std::chrono::seconds(kLastResortS));
    ::_exit(kPeerLost);
  }).detach();
  if (late != nullptr) board_.raise_alarm(rank_);
  report_self(late);
  beat(true);
  report_others();
  for (auto waited = milliseconds(0); waited < kFarewell && !live_ranks_reported(); waited += milliseconds(200)) {
    std::this_thread::sleep_for(milliseconds(200));
  }
  ::_exit(kPeerLost);
}

void Watchdog::report_self(const Activity* late) {
  const double now_s = Activity::now_s();
  for (const Activity* activity : activities_) {
    const Activity::State state = activity->state();
    if (state.work.empty() && activity != late) continue;
    log_.error(
        "watchdog: " + (activity == late ? "deadline of " + seconds(state.deadline_s) + " passed: " : std::string()) +
        "rank " + std::to_string(rank_) + " is in step " + std::to_string(state.step) + ", " + state.work + ", " +
        state.operation() + " for " + seconds(state.elapsed_s(now_s)));
    std::string recent;
    for (const CollectiveRecord& record : state.recent) {
      recent += "\n  #" + std::to_string(record.number) + " " + record.operation + ", " +
                std::to_string(record.num_bytes) + " bytes, " + seconds(now_s - record.begin_s) + " ago, " +
                (record.end_s == 0 ? "under way" : "took " + seconds(record.end_s - record.begin_s));
    }
    if (!recent.empty()) log_.error("watchdog: last collectives of this rank:" + recent);
  }
}

/// A rank whose beats stand still is missing; among the others the one with the fewest collectives is behind.
void Watchdog::report_others() {
  std::vector<std::optional<Heartbeat>> before, after;
  for (int rank = 0; rank < world_size_; ++rank) before.push_back(board_.read(rank));
  std::this_thread::sleep_for(kListen);
  int64_t most = 0;
  for (int rank = 0; rank < world_size_; ++rank) {
    after.push_back(board_.read(rank));
    if (after.back()) most = std::max(most, after.back()->num_collectives);
  }
  beat(true);
  for (int rank = 0; rank < world_size_; ++rank) {
    if (rank == rank_) continue;
    const auto &then = before[static_cast<size_t>(rank)], &now = after[static_cast<size_t>(rank)];
    const std::string who = "watchdog: rank " + std::to_string(rank);
    if (!now) {
      missing_.push_back(rank);
      log_.error(who + " is missing: it never gave a sign of life");
    } else if (then && now->beat == then->beat && !now->reported) {
      missing_.push_back(rank);
      log_.error(who + " is missing: no heartbeat any more; last seen in " + describe(*now));
    } else if (now->num_collectives < most) {
      log_.error(who + " is behind: " + describe(*now) + " against " + std::to_string(most));
    }
  }
}

bool Watchdog::live_ranks_reported() const {
  for (int rank = 0; rank < world_size_; ++rank) {
    if (rank == rank_ || std::ranges::find(missing_, rank) != missing_.end()) continue;
    const auto beat = board_.read(rank);
    if (!beat || !beat->reported) return false;
  }
  return true;
}

}  // namespace cllm
