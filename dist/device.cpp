#include "dist/device.h"

#include <c10/core/impl/VirtualGuardImpl.h>

namespace cllm {

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
