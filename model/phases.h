#pragma once

#include <chrono>

namespace cllm {

/// Seconds that one training step spent in each of its phases on this rank (DESIGN.md §3).
struct PhaseSeconds {
  double lookup = 0, forward = 0, head = 0, backward = 0, give_back = 0, mr = 0, update = 0;
  double total() const { return lookup + forward + head + backward + give_back + mr + update; }
};

/// Time since the last lap.
class Stopwatch {
 public:
  double lap() {
    const auto now = std::chrono::steady_clock::now();
    const std::chrono::duration<double> elapsed = now - last_;
    last_ = now;
    return elapsed.count();
  }

 private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

}  // namespace cllm
