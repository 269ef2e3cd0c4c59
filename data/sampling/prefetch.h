#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>

#include "data/batch.h"

namespace cllm {

/// Builds batches first, first + 1, ..., last - 1 in a background thread, at most `depth` ahead of next(). The batches are those
/// that make() gives, in order. The destructor stops after the batch in work and waits for the thread.
class Prefetcher {
 public:
  /// `make` is called from one other thread only. depth >= 1.
  Prefetcher(std::function<Batch(int64_t)> make, int64_t first, int64_t last, int64_t depth = 2);
  Prefetcher(const Prefetcher&) = delete;
  Prefetcher& operator=(const Prefetcher&) = delete;

  /// The next batch, nullopt after the last; waits for it. What make() threw for a batch is thrown here in its place, and the
  /// stream ends with it.
  std::optional<Batch> next();
  /// Waits up to `patience` for the next batch; true if next() would return at once.
  bool wait_for(std::chrono::milliseconds patience);

 private:
  void run(const std::stop_token& stop, int64_t first, int64_t last);

  std::function<Batch(int64_t)> make_;
  size_t depth_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<Batch> ready_;
  std::exception_ptr failure_;
  bool finished_ = false;
  std::jthread worker_;  // last member: joined before the others go
};

}  // namespace cllm
