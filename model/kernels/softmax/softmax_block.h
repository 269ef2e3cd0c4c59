#pragma once

// What a softmax over many rows needs between its matrix products. Letters: b positions of a block, V rows of the head,
// K targets, D width.

#include <ATen/core/Tensor.h>

namespace cllm::kernels {

/// Per row of the block: its maximum and sum exp(x - maximum); leaves exp(x - maximum) in `logits_bV`. Two passes over
/// a block that is small enough for the cache. logits fp32, fp64 or bf16, contiguous; maximum_b, sum_b fp64 or, for
/// fp32 and bf16, fp32. A head without rows (V = 0) gives -infinity and 0.
void exp_rows(at::Tensor& logits_bV, at::Tensor maximum_b, at::Tensor sum_b);

/// a_ND[a_rows[k]] . b_VD[b_rows[k]] for k = 0 .. K-1: [K] fp64, summed in fp64 for fp64 rows and in fp32 for fp32 and
/// bf16.
at::Tensor row_dots(const at::Tensor& a_ND, const at::Tensor& a_rows_K, const at::Tensor& b_VD,
                    const at::Tensor& b_rows_K);

/// Rows of `values` [V, D], each times a number of its own; bf16 values are widened first.
struct ScaledRows {
  at::Tensor values_VD, rows_K;  // fp32, fp64 or bf16; int64
  at::Tensor scale_K;            // in the dtype of what they are added to
};
/// out[index[k]] += scale[k] values[rows[k]] in the order of k, for k = 0 .. K-1. out fp32 or fp64; index_K int64,
/// repeats allowed.
void add_scaled_rows(at::Tensor& out, const at::Tensor& index_K, const ScaledRows& source);

/// out[index[k]] += source[k] in the order of k, for k = 0 .. K-1. fp32 or fp64, same dtype; index_K int64, repeats
/// allowed.
void add_rows(at::Tensor& out, const at::Tensor& index_K, const at::Tensor& source_KD);

}  // namespace cllm::kernels
