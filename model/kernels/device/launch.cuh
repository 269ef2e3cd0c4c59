#pragma once

// Where kernels meet the device: everything here has a second implementation that runs blocks on the CPU
// (tests/gpu/on_host), so the kernels themselves are tested on machines without a GPU.

#include <ATen/core/Tensor.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include "model/kernels/device/grid.h"

namespace cllm::kernels::cuda {

constexpr c10::DeviceType kDevice = c10::DeviceType::CUDA;
using DeviceGuard = c10::cuda::CUDAGuard;

/// Starts `kernel` on the current stream.
template <typename... Parameters, typename... Arguments>
void launch(void (*kernel)(Parameters...), const Grid& grid, Arguments... arguments) {
  const dim3 blocks(static_cast<unsigned>(grid.blocks)),
      threads(static_cast<unsigned>(grid.x), static_cast<unsigned>(grid.y));
  kernel<<<blocks, threads, 0, c10::cuda::getCurrentCUDAStream()>>>(arguments...);
  C10_CUDA_KERNEL_LAUNCH_CHECK();
}

}  // namespace cllm::kernels::cuda
