#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "launch/plan/hardware.h"
#include "model/step/phases.h"

namespace cllm {

/// What one training step cost this rank.
struct StepCost {
  double took_s = 0;
  double waited_s = 0;   // of it in collectives, as the host saw it
  double stalled_s = 0;  // of a traced run: a GPU's stream behind them; learnt in this step, some of it of the last
  double exchanged_bytes = 0;  // of the collectives' tensors, the part of other ranks
  double flops = 0;            // model/step/flops.h
  PhaseSeconds phases = {};

  /// Communication that nothing hid, at most the whole time. Where the host waits while the stream stands still too it
  /// counts twice.
  double exposed_s() const { return std::min(took_s, waited_s + stalled_s); }
};

/// Sums the costs of steps.
class StepMeter {
 public:
  void add(const StepCost& cost);
  int64_t num_steps() const { return num_steps_; }

  /// Means per step for the timing log: exchanged_bytes, exposed_communication (share of the time), and mfu if the
  /// limits are known.
  std::vector<std::pair<std::string, double>> means(const HardwareLimits& limits) const;
  /// The same for a line that people watch: "MFU 41%  exposed 3%  1.20MB/step". Without what is not known; a rank alone
  /// exchanges nothing. `stalls_known`: it computes on the CPU, or the stalls of its device are measured; otherwise
  /// "exposed >=3%".
  std::string brief(const HardwareLimits& limits, bool stalls_known) const;
  /// The mean time of every phase, a line each; the rest is what lies between them (batch, record).
  std::string phase_table() const;

 private:
  int64_t num_steps_ = 0;
  StepCost sum_;
};

}  // namespace cllm
