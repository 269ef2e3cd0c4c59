#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <thread>
#include <utility>

namespace cllm {

/// Makes the values of steps first, first + 1, ..., last - 1 in a background thread, at most `depth` ahead of next().
/// They are those that make() gives, in order. The destructor stops after the value in work and waits for the thread.
template <typename Value>
class Prefetcher {
 public:
  /// `make` is called from one other thread only. depth >= 1.
  Prefetcher(std::function<Value(int64_t)> make, int64_t first, int64_t last, int64_t depth = 2)
      : make_(std::move(make)), depth_(static_cast<size_t>(depth)) {
    if (depth < 1) throw std::invalid_argument("Prefetcher: depth must be at least 1");
    worker_ = std::jthread([this, first, last](const std::stop_token& stop) { run(stop, first, last); });
  }
  Prefetcher(const Prefetcher&) = delete;
  Prefetcher& operator=(const Prefetcher&) = delete;

  /// The next value, nullopt after the last; waits for it. What make() threw for a value is thrown here in its place,
  /// and the stream ends with it.
  std::optional<Value> next() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !ready_.empty() || finished_; });
    if (ready_.empty()) {
      if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
      return std::nullopt;
    }
    Value value = std::move(ready_.front());
    ready_.pop_front();
    changed_.notify_all();
    return value;
  }

  /// Waits up to `patience` for the next value; true if next() would return at once.
  bool wait_for(std::chrono::milliseconds patience) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, patience, [&] { return !ready_.empty() || finished_; });
  }

 private:
  void run(const std::stop_token& stop, int64_t first, int64_t last) {
    std::exception_ptr failure;
    try {
      for (int64_t step = first; step < last; ++step) {
        {
          std::unique_lock lock(mutex_);
          if (!changed_.wait(lock, stop, [&] { return ready_.size() < depth_; })) return;
        }
        Value value = make_(step);
        const std::lock_guard lock(mutex_);
        ready_.push_back(std::move(value));
        changed_.notify_all();
      }
    } catch (...) {
      failure = std::current_exception();
    }
    const std::lock_guard lock(mutex_);
    failure_ = failure;
    finished_ = true;
    changed_.notify_all();
  }

  std::function<Value(int64_t)> make_;
  size_t depth_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<Value> ready_;
  std::exception_ptr failure_;
  bool finished_ = false;
  std::jthread worker_;  // last member: joined before the others go
};

}  // namespace cllm
