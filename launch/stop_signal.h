#pragma once

namespace cllm {

/// Turns SIGUSR1, SIGTERM and SIGINT into a flag that the training loop agrees on once per step. The previous handlers come back when
/// the object goes. One object at a time per process.
class StopSignal {
 public:
  StopSignal();
  ~StopSignal();
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;

  /// The first signal that came, 0 if none.
  int received() const;
};

}  // namespace cllm
