#pragma once

#include <c10/core/Allocator.h>
#include <c10/util/ThreadLocalDebugInfo.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <mutex>

namespace cllm::testing {

/// Counts the memory of one kind of device that libtorch's allocators hand out to a thread and to the backward passes
/// that it starts.
class MemoryCounter : public c10::MemoryReportingInfoBase {
 public:
  explicit MemoryCounter(c10::DeviceType device) : device_(device) {}

  void reportMemoryUsage(void*, int64_t num_bytes, size_t, size_t, c10::Device device) override {
    if (device.type() != device_) return;
    const std::scoped_lock lock(mutex_);
    now_ += num_bytes;
    peak_ = std::max(peak_, now_);
  }
  bool memoryProfilingEnabled() const override { return true; }
  int64_t peak() const { return peak_; }

 private:
  c10::DeviceType device_;
  std::mutex mutex_;
  int64_t now_ = 0, peak_ = 0;
};

/// The most bytes of tensors on `device` that `work` held at once beyond those that were there before.
template <typename Work>
int64_t peak_bytes_of(c10::DeviceType device, const Work& work) {
  const auto counter = std::make_shared<MemoryCounter>(device);
  const c10::DebugInfoGuard guard(c10::DebugInfoKind::PROFILER_STATE, counter);
  work();
  return counter->peak();
}

}  // namespace cllm::testing
