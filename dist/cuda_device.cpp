#include <ATen/Context.h>
#include <ATen/cuda/CUDAContext.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAFunctions.h>
#include <nvtx3/nvToolsExt.h>

#include <cstdio>

#include "dist/device.h"
#include "dist/errors.h"

namespace cllm {

at::Device device_of_rank(int local_rank, bool shared) {
  const int num_gpus = c10::cuda::device_count();
  const int index = shared && num_gpus > 0 ? local_rank % num_gpus : local_rank;
  if (num_gpus == 0) {
    throw DeviceError(
        "device = \"cuda\", but no GPU is visible on this host: look at nvidia-smi and CUDA_VISIBLE_DEVICES, or run with "
        "--device=cpu");
  }
  if (index >= num_gpus) {
    throw DeviceError("local rank " + std::to_string(local_rank) + " finds " + std::to_string(num_gpus) +
                      " GPUs on its host: start at most that many ranks per host, or run with --device=cpu");
  }
  return {at::kCUDA, static_cast<at::DeviceIndex>(index)};
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

}  // namespace cllm
