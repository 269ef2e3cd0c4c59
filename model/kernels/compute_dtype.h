#pragma once

#include <ATen/core/Tensor.h>

namespace cllm {

/// Dtype of the residual stream, norms, biases and softmaxes beside matrix products in `compute` (fp64, fp32 or bf16).
inline at::ScalarType residual_dtype(at::ScalarType compute) {
  return compute == at::kDouble ? at::kDouble : at::kFloat;
}

/// Calls f(R{}, C{}) with the types of the residual stream and of the computation.
template <class Function>
void dispatch_compute(at::ScalarType compute, Function f) {
  if (compute == at::kDouble) return f(double{}, double{});
  if (compute == at::kFloat) return f(float{}, float{});
  TORCH_CHECK(compute == at::kBFloat16, "compute dtype must be fp64, fp32 or bf16, found ", compute);
  f(float{}, at::BFloat16{});
}

}  // namespace cllm
