#include "dist/watch/activity.h"

#include <algorithm>
#include <chrono>

namespace cllm {

std::string Activity::State::operation() const {
  const bool waiting = !recent.empty() && recent.back().end_s == 0;
  return waiting ? recent.back().operation : work.empty() ? "idle" : "computing";
}

double Activity::now_s() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void Activity::begin(const std::string& work, int64_t step, double deadline_s) {
  const std::scoped_lock lock(mutex_);
  work_ = work;
  step_ = step;
  since_s_ = now_s();
  deadline_s_ = deadline_s;
}

void Activity::note(const std::string& work) {
  const std::scoped_lock lock(mutex_);
  work_ = work;
}

void Activity::end() { begin("", 0, 0); }

void Activity::begin_collective(const std::string& operation, int64_t num_bytes, int64_t moved_bytes) {
  const std::scoped_lock lock(mutex_);
  CollectiveRecord& record = ring_[static_cast<size_t>(num_collectives_) % kRecent];
  record.number = ++num_collectives_;
  record.operation = operation;  // keeps its memory
  record.num_bytes = num_bytes;
  record.begin_s = now_s();
  record.end_s = 0;
  moved_bytes_ += moved_bytes;
}

void Activity::end_collective() {
  const std::scoped_lock lock(mutex_);
  CollectiveRecord& record = ring_[static_cast<size_t>(num_collectives_ - 1) % kRecent];
  record.end_s = now_s();
  waited_s_ += record.end_s - record.begin_s;
}

void Activity::add_stall(double seconds) {
  const std::scoped_lock lock(mutex_);
  stalled_s_ += seconds;
}

Activity::State Activity::state() const {
  const std::scoped_lock lock(mutex_);
  State state{work_, step_, since_s_, deadline_s_, {}, num_collectives_};
  const int64_t first = std::max<int64_t>(0, num_collectives_ - static_cast<int64_t>(kRecent));
  for (int64_t n = first; n < num_collectives_; ++n) state.recent.push_back(ring_[static_cast<size_t>(n) % kRecent]);
  return state;
}

int64_t Activity::moved_bytes() const {
  const std::scoped_lock lock(mutex_);
  return moved_bytes_;
}

double Activity::waited_s() const {
  const std::scoped_lock lock(mutex_);
  return waited_s_;
}

double Activity::stalled_s() const {
  const std::scoped_lock lock(mutex_);
  return stalled_s_;
}

}  // namespace cllm
