#pragma once

namespace cllm {

/// SIGUSR1, SIGTERM and SIGINT as a flag that the training loop agrees on once per step; more of them change nothing.
class StopSignal {
 public:
  /// For the rest of the process: main calls it before anything else, so that a signal during a long start is not lost,
  /// and one in the last moments does not kill a run that is done.
  static void listen();
  /// The first signal that came, 0 if none.
  static int received();
};

}  // namespace cllm
