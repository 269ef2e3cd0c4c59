#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "launch/output/progress.h"

namespace cllm {

/// Shows the phases of prepare() and retokenize() one after the other.
class PhaseLines {
 public:
  void show(const char* phase, uint64_t done, uint64_t total) {
    if (phase != phase_) {
      finish();
      phase_ = phase;
      line_.emplace(phase, static_cast<double>(total), "");
    }
    line_->set(static_cast<double>(done));
  }
  void finish() {
    if (line_) line_->finish();
    line_.reset();
  }

 private:
  std::string phase_;
  std::optional<PhaseProgress> line_;
};

}  // namespace cllm
