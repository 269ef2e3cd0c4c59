#include "dist/device.h"

#include <c10/core/impl/VirtualGuardImpl.h>

namespace cllm {

void synchronize(at::Device device) {
  if (!device.is_cpu()) c10::impl::VirtualGuardImpl(device.type()).synchronizeDevice(device.index());
}

at::Tensor upload(const at::Tensor& host, at::Device device) {
  if (host.device() == device) return host;
  // The allocator of pinned memory keeps the copy's source until the stream has passed it.
  return device.is_cuda() ? host.pin_memory().to(device, /*non_blocking=*/true) : host.to(device);
}

}  // namespace cllm
