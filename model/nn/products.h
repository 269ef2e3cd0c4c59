#pragma once

#include <ATen/core/Tensor.h>

namespace cllm {

// The rows of a change from call to call (of add_product: its columns and the rows of b); where a CPU's product is
// compiled for its size, they are filled up (few_sizes.h). The other sizes are few by themselves.

/// a b for fp64, fp32 or bf16 matrices of one dtype. On a GPU bf16 sums leave the multiplier in fp32; a CPU's
/// multiplier rounds them to bf16. fp32 and fp64 stay what they are.
at::Tensor product(const at::Tensor& a, const at::Tensor& b);

/// a b in the dtype of a and b.
at::Tensor rounded_product(const at::Tensor& a, const at::Tensor& b);

/// a b [n, m] of bf16 in bf16, computed and summed in fp32: values of b are converted block by block, so of it some 16
/// MB exist in fp32. On the CPU; no autograd.
at::Tensor wide_product(const at::Tensor& a, const at::Tensor& b);

/// sum += a b; sum in residual_dtype (compute_dtype.h) of a and b.
void add_product(at::Tensor& sum, const at::Tensor& a, const at::Tensor& b);

/// The same where it is the rows of a that change.
void add_product_of_rows(at::Tensor& sum, const at::Tensor& a, const at::Tensor& b);

}  // namespace cllm
