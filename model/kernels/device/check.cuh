#pragma once

#include <cstdint>
#include <initializer_list>
#include <type_traits>

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

/// A dense tensor on the device, of any width.
inline void check_dense(const at::Tensor& tensor, const char* name) {
  TORCH_CHECK(tensor.device().type() == kDevice && tensor.is_contiguous(), name, " must be contiguous on ", kDevice);
}

inline void check_like(const at::Tensor& tensor, const at::Tensor& like, const char* name) {
  check_dense(tensor, name);
  TORCH_CHECK(tensor.sizes() == like.sizes(), name, " has shape ", tensor.sizes(), ", expected ", like.sizes());
}

/// Whether all rows of `width` elements in these tensors (undefined: none) can be read N elements of T at a time.
template <typename T>
bool in_words(int64_t width, std::initializer_list<at::Tensor> tensors) {
  bool fits = width % (16 / static_cast<int64_t>(sizeof(T))) == 0;
  for (const at::Tensor& tensor : tensors)
    fits = fits && (!tensor.defined() || reinterpret_cast<uintptr_t>(tensor.const_data_ptr()) % 16 == 0);
  return fits;
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

/// Data of a tensor of T; null if it is undefined.
template <typename T>
T* checked(const at::Tensor& tensor, const char* name) {
  if (!tensor.defined()) return nullptr;
  check_dense(tensor, name);
  TORCH_CHECK(tensor.scalar_type() == c10::CppTypeToScalarType<std::remove_const_t<T>>::value, name, " must be ",
              c10::CppTypeToScalarType<std::remove_const_t<T>>::value, ", found ", tensor.scalar_type());
  return pointer<T>(tensor);
}

}  // namespace cllm::kernels::cuda
