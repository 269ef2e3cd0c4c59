#include "tests/gpu/on_host/nccl_over_mpi.h"

#include <chrono>
#include <cstdio>
#include <cstring>
#include <functional>
#include <utility>

#include "dist/device/device.h"
#include "tests/gpu/on_host/host_stream.h"

// A rank's GPU has the number of the rank on its host.

namespace {

using Clock = std::chrono::steady_clock;

constexpr int kNumGpus = 64;
int gpu_of_process = 0;

}  // namespace

namespace cllm {

at::Device device_of_rank(int local_rank, bool shared) {
  gpu_of_process = gpu_of_rank(local_rank, kNumGpus, shared);
  return at::kCPU;
}
void use_device(at::Device) {}

}  // namespace cllm

namespace on_host {

struct Mark {
  Clock::time_point at;
  std::atomic<bool> passed = false;

  void pass() {
    at = Clock::now();
    passed = true;
  }
};

}  // namespace on_host

/// At once: what the current stream has written is there, and after a failure the memory may be gone.
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t num_bytes, cudaMemcpyKind, cudaStream_t) {
  std::memcpy(to, from, num_bytes);
  return 0;
}

cudaError_t cudaDeviceGetPCIBusId(char* text, int size, int) {
  std::snprintf(text, static_cast<size_t>(size), "0000:%02d:00.0", gpu_of_process);
  return 0;
}

c10::cuda::CUDAStream c10::cuda::getStreamFromPool(bool) { return CUDAStream(new on_host::Stream); }

namespace at::cuda {

void CUDAEvent::record(const c10::cuda::CUDAStream& stream) {
  mark_ = std::make_shared<on_host::Mark>();
  if (stream.stream() == nullptr) return mark_->pass();
  stream.stream()->add([mark = mark_] { mark->pass(); });
}

/// Behind a kernel that nothing ends the calling thread goes on at once: on a GPU only what it reads later would hang.
void CUDAEvent::block(const c10::cuda::CUDAStream& stream) {
  if (!mark_) return;
  if (stream.stream() != nullptr) {
    return stream.stream()->add([mark = mark_] {
      while (!mark->passed) on_host::nap();
    });
  }
  while (!mark_->passed && !on_host::nccl_faults().abort_hangs) on_host::nap();
}

bool CUDAEvent::query() const { return !mark_ || mark_->passed; }

float CUDAEvent::elapsed_time(const CUDAEvent& later) const {
  TORCH_CHECK(timed_ && later.timed_ && mark_ && later.mark_ && query() && later.query(),
              "elapsed time of events without one");
  return std::chrono::duration<float, std::milli>(later.mark_->at - mark_->at).count();
}

}  // namespace at::cuda
