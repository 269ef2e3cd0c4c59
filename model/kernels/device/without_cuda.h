#pragma once

#include "model/errors.h"

namespace cllm::kernels::cuda {

/// What every device function does in a build without CUDA.
[[noreturn]] inline void refuse() {
  throw ModelError(
      "a tensor is on a GPU, but this program was built without CUDA: build with -DCLLM_CUDA=ON, or run with "
      "--device=cpu");
}

}  // namespace cllm::kernels::cuda
