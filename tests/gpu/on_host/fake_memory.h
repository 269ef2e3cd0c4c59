#pragma once

#include <ATen/core/Tensor.h>

namespace on_host {

/// dist/device/device.h's function for the fake device: what is meant to stay with the host does not count as memory of
/// the device.
at::Tensor zeros_with_rows_on_host(at::IntArrayRef sizes, at::ScalarType dtype, at::Device device,
                                   int64_t rows_on_host);

}  // namespace on_host
