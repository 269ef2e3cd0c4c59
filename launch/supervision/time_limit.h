#pragma once

#include <cstdint>
#include <limits>
#include <string>

namespace cllm {

/// When the process must be gone. Times are of the steady clock; one rank decides for all.
class TimeLimit {
 public:
  /// No limit.
  TimeLimit() = default;
  /// `max_seconds` from now (0: none), and before `stop_before`: "" none, "SLURM_JOB_END" (the environment's
  /// SLURM_JOB_END_TIME), or seconds since 1970. The earlier counts. ConfigError for anything else.
  TimeLimit(double max_seconds, const std::string& stop_before);

  bool exists() const { return end_s_ < std::numeric_limits<double>::infinity(); }
  /// Seconds left; negative after the end, infinite without a limit.
  double left_s() const;

 private:
  double end_s_ = std::numeric_limits<double>::infinity();
};

/// How much of the time left must be kept for the end of the run: what the step under way and the last save may take,
/// from what steps and saves have taken so far.
class TimeReserve {
 public:
  /// `state_bytes`: of this rank; the first save is guessed at 100 MB/s until one was measured.
  explicit TimeReserve(int64_t state_bytes);

  void step_took(double seconds);
  void save_took(double seconds);
  /// `save_under_way`: it must end before the last one can begin.
  double seconds(bool save_under_way) const;

 private:
  double longest_step_s_ = 0, longest_save_s_;
  bool measured_ = false;
};

}  // namespace cllm
