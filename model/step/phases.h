#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <chrono>

#include "dist/device/device.h"

namespace cllm {

/// Seconds that one training step spent in each of its phases on this rank (DESIGN.md §3). On a GPU only a traced step
/// waits for the device at the end of each phase; otherwise these are the seconds of the host, which runs ahead.
struct PhaseSeconds {
  double lookup = 0, forward = 0, head = 0, backward = 0, give_back = 0, mr = 0, update = 0;
  double total() const { return lookup + forward + head + backward + give_back + mr + update; }
};

struct Phase {
  double PhaseSeconds::*seconds;
  const char* name;
};
inline constexpr std::array<Phase, 7> kPhases{{{&PhaseSeconds::lookup, "lookup"},
                                               {&PhaseSeconds::forward, "forward"},
                                               {&PhaseSeconds::head, "head"},
                                               {&PhaseSeconds::backward, "backward"},
                                               {&PhaseSeconds::give_back, "give back"},
                                               {&PhaseSeconds::mr, "mr"},
                                               {&PhaseSeconds::update, "update"}}};

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

/// Times the phases of a step one after the other. With `trace` each is a range for a profiler, and ends when `device`
/// is done.
class PhaseTimer {
 public:
  PhaseTimer(PhaseSeconds& seconds, at::Device device, bool trace)
      : seconds_(seconds), device_(device), trace_(trace) {}
  ~PhaseTimer() { leave(); }
  PhaseTimer(const PhaseTimer&) = delete;
  PhaseTimer& operator=(const PhaseTimer&) = delete;

  /// Ends the running phase and begins the next.
  void enter(double PhaseSeconds::*next) {
    leave();
    current_ = next;
    if (!trace_) return;
    for (const Phase& phase : kPhases) {
      if (phase.seconds == next) begin_range(phase.name);
    }
  }

 private:
  void leave() {
    if (trace_ && current_ != nullptr) {
      synchronize(device_);
      end_range();
    }
    const double lap = watch_.lap();
    if (current_ != nullptr) seconds_.*current_ += lap;
    current_ = nullptr;
  }

  PhaseSeconds& seconds_;
  at::Device device_;
  bool trace_;
  double PhaseSeconds::*current_ = nullptr;
  Stopwatch watch_;
};

}  // namespace cllm
