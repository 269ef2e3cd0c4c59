#pragma once

namespace cllm {

/// Turns SIGUSR1, SIGTERM and SIGINT into a flag that the training loop agrees on once per step; more of them change nothing. main makes
/// it before anything else, so that a signal during a long start is not lost. The previous handlers come back when the object goes. One
/// object at a time per process.
class StopSignal {
 public:
  StopSignal();
  ~StopSignal();
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;

  /// The first signal that came, 0 if none.
  static int received();
};

}  // namespace cllm
