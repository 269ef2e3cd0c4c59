#include <ATen/Context.h>
#include <ATen/cuda/CUDAContext.h>
#include <ATen/cuda/CUDAEvent.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/zeros.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAGuard.h>
#include <nvtx3/nvToolsExt.h>

#include <cstdio>
#include <mutex>

#include "dist/device/device.h"
#include "dist/errors.h"

namespace cllm {

at::Device device_of_rank(int local_rank, bool shared) {
  return {at::kCUDA, static_cast<at::DeviceIndex>(gpu_of_rank(local_rank, c10::cuda::device_count(), shared))};
}

void use_device(at::Device device) {
  if (!device.is_cuda()) return;
  c10::cuda::set_device(device.index());
  at::Context& context = at::globalContext();
  context.setAllowBF16ReductionCuBLAS(/*allow_reduced_precision=*/false);
  context.setDeterministicAlgorithms(true, /*warn_only=*/false);
  context.setDeterministicFillUninitializedMemory(false);  // else every new tensor is written once more
}

int64_t peak_bytes(at::Device device) {
  return device.is_cuda() ? c10::cuda::CUDACachingAllocator::getDeviceStats(device.index()).reserved_bytes[0].peak : 0;
}

void begin_range(const char* name) { nvtxRangePushA(name); }
void end_range() { nvtxRangePop(); }

std::string describe(at::Device device) {
  if (!device.is_cuda()) return device.str();
  const cudaDeviceProp& gpu = *at::cuda::getDeviceProperties(device.index());
  char text[400];
  std::snprintf(text, sizeof text, "%s %s, %.1f GiB, %d SMs, compute capability %d.%d", device.str().c_str(), gpu.name,
                static_cast<double>(gpu.totalGlobalMem) / (1 << 30), gpu.multiProcessorCount, gpu.major, gpu.minor);
  return text;
}

/// Managed memory whose first rows prefer the host and are mapped into the GPU: it reads and writes them in place and
/// they never migrate. One range of addresses, so that a table is one tensor whatever it is made of.
at::Tensor zeros_with_rows_on_host(at::IntArrayRef sizes, at::ScalarType dtype, at::Device device,
                                   int64_t rows_on_host) {
  int in_place = 0;
  C10_CUDA_CHECK(cudaDeviceGetAttribute(&in_place, cudaDevAttrConcurrentManagedAccess, device.index()));
  if (in_place == 0) {
    throw DeviceError("run.user_tables = \"host\": " + describe(device) +
                      " cannot work on memory of the host in place: set it to \"device\"");
  }
  const auto options = at::TensorOptions().dtype(dtype).device(device);
  const int64_t num_bytes = c10::multiply_integers(sizes) * static_cast<int64_t>(c10::elementSize(dtype));
  if (num_bytes == 0) return at::zeros(sizes, options);
  const auto host_bytes = static_cast<size_t>(num_bytes / sizes[0] * rows_on_host);
  void* memory = nullptr;
  C10_CUDA_CHECK(cudaMallocManaged(&memory, static_cast<size_t>(num_bytes)));
  at::Tensor out = at::from_blob(
      memory, sizes, [](void* data) { cudaFree(data); }, options, device);
  const cudaMemLocation gpu{cudaMemLocationTypeDevice, device.index()}, host{cudaMemLocationTypeHost, 0};
  C10_CUDA_CHECK(cudaMemAdvise(memory, static_cast<size_t>(num_bytes), cudaMemAdviseSetPreferredLocation, gpu));
  if (host_bytes > 0) {
    C10_CUDA_CHECK(cudaMemAdvise(memory, host_bytes, cudaMemAdviseSetPreferredLocation, host));
    C10_CUDA_CHECK(cudaMemAdvise(memory, host_bytes, cudaMemAdviseSetAccessedBy, gpu));
  }
  return out.zero_();
}

struct HostCopies::Impl {
  explicit Impl(c10::cuda::CUDAStream of_copies) : stream(of_copies) {}

  c10::cuda::CUDAStream stream;
  std::mutex mutex;                                                                    // of the two below
  std::vector<std::pair<at::Tensor, at::Tensor>> under_way;                            // empty: none
  std::shared_ptr<at::cuda::CUDAEvent> end = std::make_shared<at::cuda::CUDAEvent>();  // behind the last copy
};

HostCopies::HostCopies(at::Device device)
    : impl_(std::make_unique<Impl>(c10::cuda::getStreamFromPool(/*isHighPriority=*/false, device.index()))) {}

HostCopies::~HostCopies() {
  try {
    wait();
  } catch (const std::exception&) {  // the device has failed: nothing reads or writes the buffers any more
  }
}

at::Tensor HostCopies::buffer(at::IntArrayRef sizes, at::ScalarType dtype) const {
  // libtorch's allocator of pinned memory rounds up to a power of two: too much for shards of tables.
  constexpr size_t kLarge = size_t{64} << 20;
  const size_t num_bytes = static_cast<size_t>(c10::multiply_integers(sizes)) * c10::elementSize(dtype);
  const auto options = at::TensorOptions().dtype(dtype);
  if (num_bytes < kLarge) return at::empty(sizes, options.pinned_memory(true));
  void* memory = nullptr;
  C10_CUDA_CHECK(cudaHostAlloc(&memory, num_bytes, cudaHostAllocDefault));
  return at::from_blob(
      memory, sizes, [](void* data) { cudaFreeHost(data); }, options);
}

void HostCopies::start(const std::vector<std::pair<at::Tensor, at::Tensor>>& from_to) {
  wait();
  at::cuda::CUDAEvent ready;
  ready.record(c10::cuda::getCurrentCUDAStream(impl_->stream.device_index()));
  ready.block(impl_->stream);
  const std::scoped_lock lock(impl_->mutex);
  const c10::cuda::CUDAStreamGuard beside(impl_->stream);
  for (const auto& [from, to] : from_to) to.copy_(from, /*non_blocking=*/true);
  impl_->end->record(impl_->stream);
  impl_->under_way = from_to;
}

void HostCopies::before_change() {
  const std::scoped_lock lock(impl_->mutex);
  if (!impl_->under_way.empty()) impl_->end->block(c10::cuda::getCurrentCUDAStream(impl_->stream.device_index()));
}

void HostCopies::wait() {
  impl_->end->synchronize();
  const std::scoped_lock lock(impl_->mutex);
  impl_->under_way.clear();
}

}  // namespace cllm
