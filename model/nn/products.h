#pragma once

#include <ATen/core/Tensor.h>

namespace cllm {

/// a b for fp64, fp32 or bf16 matrices of one dtype. On a GPU bf16 sums leave the multiplier in fp32; a CPU's
/// multiplier rounds them to bf16. fp32 and fp64 stay what they are.
at::Tensor product(const at::Tensor& a, const at::Tensor& b);

/// sum += a b; sum in residual_dtype (compute_dtype.h) of a and b.
void add_product(at::Tensor& sum, const at::Tensor& a, const at::Tensor& b);

}  // namespace cllm
