#pragma once

#include <cstdint>

#include "model/kernels/device/launch.cuh"

namespace cllm::kernels::cuda {

/// A dense matrix on the device whose rows are whole 16-byte words.
inline void check_rows(const at::Tensor& tensor, const char* name) {
  TORCH_CHECK(tensor.device().type() == kDevice && tensor.dim() == 2 && tensor.is_contiguous(), name,
              " must be a contiguous matrix on ", kDevice);
  TORCH_CHECK(reinterpret_cast<uintptr_t>(tensor.const_data_ptr()) % 16 == 0, name, " must start at a 16-byte word");
  const int64_t lanes = 16 / static_cast<int64_t>(tensor.element_size());
  TORCH_CHECK(tensor.size(1) % lanes == 0, name, " has width ", tensor.size(1), ", not a multiple of ", lanes);
}

inline void check_index(const at::Tensor& index, const char* name) {
  TORCH_CHECK(index.device().type() == kDevice && index.is_contiguous() && index.scalar_type() == at::kLong, name,
              " must be a contiguous int64 tensor on ", kDevice);
}

/// Data of `tensor`; null if it is undefined.
template <typename T>
T* pointer(const at::Tensor& tensor) {
  return tensor.defined() ? static_cast<T*>(tensor.mutable_data_ptr()) : nullptr;
}

}  // namespace cllm::kernels::cuda
