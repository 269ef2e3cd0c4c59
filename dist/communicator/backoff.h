#pragma once

#include <chrono>

namespace cllm {

/// How a thread waits for a peer: it spins for the usual latency of a small message, then gives the core away at every
/// turn, and after a while sleeps, so that a rank that waits for slow peers leaves the cores to their compute threads.
class Backoff {
 public:
  double elapsed_s() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }
  /// Call after progress was seen: the next pauses are short again.
  void progress() { quiet_since_ = Clock::now(); }
  void pause();

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point start_ = Clock::now();
  Clock::time_point quiet_since_ = start_;
};

}  // namespace cllm
