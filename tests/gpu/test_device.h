#pragma once

// The same tests run on a GPU and, without one, on the fake device of tests/gpu/on_host.

#include <ATen/Context.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/randn.h>

namespace cllm::test {

#ifdef CLLM_TEST_ON_GPU
inline constexpr c10::DeviceType kDevice = c10::DeviceType::CUDA;
#else
inline constexpr c10::DeviceType kDevice = c10::DeviceType::PrivateUse1;
#endif

inline constexpr bool kOnGpu = kDevice == c10::DeviceType::CUDA;

inline at::Tensor to_device(const at::Tensor& tensor) {
  return tensor.to(kDevice, /*non_blocking=*/false, /*copy=*/true);
}
inline at::Tensor random(at::IntArrayRef shape, at::ScalarType dtype = at::kFloat) {
  return at::randn(shape).to(dtype);
}

/// ||a - b|| / ||b|| in fp64; 0 for two empty tensors, NaN if either holds one.
inline double relative_error(const at::Tensor& a, const at::Tensor& b) {
  if (b.numel() == 0) return a.numel() == 0 ? 0 : 1;
  const at::Tensor reference = b.to(at::kCPU).to(at::kDouble), gap = a.to(at::kCPU).to(at::kDouble) - reference;
  return (gap.norm() / reference.norm().clamp_min(1e-300)).item<double>();
}

inline bool same_bits(const at::Tensor& a, const at::Tensor& b) { return at::equal(a.cpu(), b.cpu()); }

}  // namespace cllm::test
