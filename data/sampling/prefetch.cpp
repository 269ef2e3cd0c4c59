#include "data/sampling/prefetch.h"

#include <stdexcept>
#include <utility>

namespace cllm {

Prefetcher::Prefetcher(std::function<Batch(int64_t)> make, int64_t first, int64_t last, int64_t depth)
    : make_(std::move(make)), depth_(static_cast<size_t>(depth)) {
  if (depth < 1) throw std::invalid_argument("Prefetcher: depth must be at least 1");
  worker_ = std::jthread([this, first, last](const std::stop_token& stop) { run(stop, first, last); });
}

void Prefetcher::run(const std::stop_token& stop, int64_t first, int64_t last) {
  std::exception_ptr failure;
  try {
    for (int64_t step = first; step < last; ++step) {
      {
        std::unique_lock lock(mutex_);
        if (!changed_.wait(lock, stop, [&] { return ready_.size() < depth_; })) return;
      }
      Batch batch = make_(step);
      const std::lock_guard lock(mutex_);
      ready_.push_back(std::move(batch));
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

bool Prefetcher::wait_for(std::chrono::milliseconds patience) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, patience, [&] { return !ready_.empty() || finished_; });
}

std::optional<Batch> Prefetcher::next() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return !ready_.empty() || finished_; });
  if (ready_.empty()) {
    if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
    return std::nullopt;
  }
  Batch batch = std::move(ready_.front());
  ready_.pop_front();
  changed_.notify_all();
  return batch;
}

}  // namespace cllm
