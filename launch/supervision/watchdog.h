#pragma once

#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "dist/watch/activity.h"
#include "launch/output/log.h"
#include "launch/supervision/heartbeat.h"

namespace cllm {

/// Watches what this rank's threads do, from a thread of its own. When a deadline passes here, or another rank raises
/// the alarm, it logs where this rank is and who is missing, waits until the other ranks have done so, and ends the
/// process with exit code 71; at most 9 s after the deadline. It needs neither MPI nor the other threads.
class Watchdog {
 public:
  /// `board`: cleared before by one rank. The activities must outlive the watchdog.
  Watchdog(HeartbeatBoard board, int rank, int world_size, Log& log, std::vector<const Activity*> activities);
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

 private:
  void run(const std::stop_token& stop);
  void beat(bool reported);
  const Activity* expired() const;
  [[noreturn]] void report_and_exit(const Activity* late);
  void report_self(const Activity* late);
  void report_others();
  bool live_ranks_reported() const;

  HeartbeatBoard board_;
  int rank_, world_size_;
  Log& log_;
  std::vector<const Activity*> activities_;  // the main thread's first
  int64_t beats_ = 0;
  std::vector<int> missing_;  // ranks that give no sign of life; filled by report_others()
  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::jthread thread_;  // last member: stopped before the others go
};

}  // namespace cllm
