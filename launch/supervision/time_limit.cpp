#include "launch/supervision/time_limit.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdlib>

#include "dist/watch/activity.h"
#include "launch/failures/errors.h"

namespace cllm {
namespace {

constexpr double kGuessedBytesPerS = 100e6;  // a slow shared file system
constexpr double kMargin = 1.5;              // of what was measured
constexpr double kExitS = 3;                 // writing the last log lines, MPI_Finalize, what Slurm needs to notice

/// Seconds since 1970 in `text`; `what` names it in the error.
double epoch_seconds(const std::string& text, const std::string& what) {
  double value = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || stop != text.data() + text.size()) {
    throw ConfigError("--stop-before: " + what + " = \"" + text + "\": expected SLURM_JOB_END or seconds since 1970");
  }
  return value;
}

double end_of(const std::string& stop_before) {
  if (stop_before != "SLURM_JOB_END") return epoch_seconds(stop_before, "value");
  const char* const end = std::getenv("SLURM_JOB_END_TIME");
  if (end == nullptr) {
    throw ConfigError(
        "--stop-before SLURM_JOB_END: the environment has no SLURM_JOB_END_TIME; run inside a Slurm job, or give "
        "seconds since "
        "1970");
  }
  return epoch_seconds(end, "SLURM_JOB_END_TIME");
}

}  // namespace

TimeLimit::TimeLimit(double max_seconds, const std::string& stop_before) {
  const double now_s = Activity::now_s();
  if (max_seconds > 0) end_s_ = now_s + max_seconds;
  if (stop_before.empty()) return;
  const double epoch_s = std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  end_s_ = std::min(end_s_, now_s + end_of(stop_before) - epoch_s);
}

double TimeLimit::left_s() const { return end_s_ - Activity::now_s(); }

TimeReserve::TimeReserve(int64_t state_bytes) : longest_save_s_(static_cast<double>(state_bytes) / kGuessedBytesPerS) {}

void TimeReserve::step_took(double seconds) { longest_step_s_ = std::max(longest_step_s_, seconds); }

void TimeReserve::save_took(double seconds) {
  longest_save_s_ = measured_ ? std::max(longest_save_s_, seconds) : seconds;
  measured_ = true;
}

double TimeReserve::seconds(bool save_under_way) const {
  return kMargin * (longest_step_s_ + (save_under_way ? 2 : 1) * longest_save_s_) + kExitS;
}

}  // namespace cllm
