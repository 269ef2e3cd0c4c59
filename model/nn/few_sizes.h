#pragma once

// Products of bf16 on the CPU are oneDNN's, which compiles code for every size that it meets and keeps it: some 0.3 MiB
// a product (AVX512-BF16, AMX). So what changes from batch to batch is filled up to one of few sizes. fp32 and fp64 are
// MKL's, which compiles nothing; there nothing is filled up, and no bit changes.

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "model/nn/packed_layout.h"

namespace cllm {

/// The next of few numbers: eight from one power of two to the next, but none closer than `least` (rows of an AMX
/// tile). 0 stays 0.
int64_t few_sizes(int64_t n, int64_t least = 16);

/// Whether this CPU multiplies bf16 (AVX512-BF16, AMX, AVX-NE-CONVERT). oneDNN refuses it elsewhere, and libtorch's own
/// loops are 10 to 500 times slower than fp32: there products are made of values that are converted block by block
/// (products.h).
bool cpu_has_bf16();

/// Whether products in `dtype` on the device of x are compiled for their size.
bool is_compiled_for_size(const at::Tensor& x, at::ScalarType dtype);
inline bool is_compiled_for_size(const at::Tensor& x) { return is_compiled_for_size(x, x.scalar_type()); }

/// x with rows of zeros behind it, [few_sizes(rows), D]; x itself if it has such a size. Not differentiable.
at::Tensor filled_rows(const at::Tensor& x_TD);

/// A packed batch filled up by sequences of their own, which nothing reads: x has few_sizes(T) tokens (more if the
/// outputs need them) and layout.output_rows_A, where defined, few_sizes(A) rows. Differentiable in x.
struct FilledBatch {
  at::Tensor x_TD;
  PackedLayout layout;
  int64_t num_outputs;  // of the batch itself

  FilledBatch(const at::Tensor& x_TD, const PackedLayout& batch);
  /// The batch's own rows of the backbone's result.
  at::Tensor own(const at::Tensor& hidden) const { return hidden.narrow(0, 0, num_outputs); }
};

}  // namespace cllm
