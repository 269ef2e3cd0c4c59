#pragma once

// model/kernels/device/launch.cuh for the fake device (fake_device.cpp): a launch runs the kernel to its end.

#include <ATen/core/Tensor.h>
#include <c10/macros/Macros.h>

#include <tuple>

#include "model/kernels/device/grid.h"

namespace cllm::kernels::cuda {

constexpr c10::DeviceType kDevice = c10::DeviceType::PrivateUse1;

struct DeviceGuard {
  explicit DeviceGuard(c10::Device) {}
};

template <typename... Parameters, typename... Arguments>
void launch(void (*kernel)(Parameters...), const Grid& grid, Arguments... arguments) {
  on_host::run(grid.blocks, grid.x, grid.y, [&] { kernel(arguments...); });
}

}  // namespace cllm::kernels::cuda
