#pragma once

#include <ATen/core/Tensor.h>

namespace cllm {

/// What a rank's device reaches, measured when a run starts: the limits that the figures of its steps are compared
/// with. 0: not measured.
struct HardwareLimits {
  double flops_per_s = 0;  // of a large square matrix product in the compute dtype
  double bytes_per_s = 0;  // read and written by a copy
};

/// Takes about 0.1 s.
HardwareLimits measure_limits(at::Device device, at::ScalarType compute);

}  // namespace cllm
