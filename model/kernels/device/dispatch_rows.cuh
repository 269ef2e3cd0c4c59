#pragma once

#include <ATen/Dispatch.h>

#include <initializer_list>
#include <type_traits>

#include "model/kernels/device/check.cuh"
#include "model/kernels/device/pack.cuh"

namespace cllm::kernels::cuda {

/// Calls body(R(), C(), lanes) for the compute dtype of `like`, the residual dtype beside it, and how many elements of
/// C a thread takes at a time: an integral constant, a 16-byte word's where all rows of these tensors are whole words,
/// otherwise 1.
template <typename Body>
void dispatch_rows(const at::Tensor& like, int64_t width, std::initializer_list<at::Tensor> tensors, const Body& body) {
  AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, like.scalar_type(), "rows", [&] {
    using R = Accumulator<scalar_t>;
    if (in_words<scalar_t>(width, tensors)) {
      body(R{}, scalar_t{}, std::integral_constant<int, kLanes<scalar_t>>{});
    } else {
      body(R{}, scalar_t{}, std::integral_constant<int, 1>{});
    }
  });
}

}  // namespace cllm::kernels::cuda
