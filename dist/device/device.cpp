#include "dist/device/device.h"

#include <c10/core/impl/VirtualGuardImpl.h>

#include "dist/errors.h"

namespace cllm {

int gpu_of_rank(int local_rank, int num_gpus, bool shared) {
  if (num_gpus == 0) {
    throw DeviceError(
        "device = \"cuda\", but no GPU is visible on this host: look at nvidia-smi and CUDA_VISIBLE_DEVICES, or run "
        "with "
        "--device=cpu");
  }
  const int gpu = shared ? local_rank % num_gpus : local_rank;
  if (gpu >= num_gpus) {
    throw DeviceError("local rank " + std::to_string(local_rank) + " finds " + std::to_string(num_gpus) +
                      " GPUs on its host: start at most that many ranks per host, or run with --device=cpu");
  }
  return gpu;
}

void synchronize(at::Device device) {
  if (!device.is_cpu()) c10::impl::VirtualGuardImpl(device.type()).synchronizeDevice(device.index());
}

at::Tensor staged(const at::Tensor& host, at::Device device) { return device.is_cuda() ? host.pin_memory() : host; }

at::Tensor upload(const at::Tensor& host, at::Device device) {
  if (host.device() == device) return host;
  // The allocator of pinned memory keeps the copy's source until the stream has passed it.
  return staged(host, device).to(device, /*non_blocking=*/device.is_cuda());
}

}  // namespace cllm
