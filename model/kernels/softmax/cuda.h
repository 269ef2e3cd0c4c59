#pragma once

// softmax_block.h's functions for tensors on a GPU; callers above come here through that header. logits_bV may be a
// column range of a wider matrix: rows of cuBLAS output are padded to whole words. All functions work on the current
// stream and never wait for it; the same call on the same inputs gives the same bits. In a build without CUDA they
// throw.

#include <ATen/core/Tensor.h>

#include "model/kernels/softmax/softmax_block.h"

namespace cllm::kernels::cuda {

void exp_rows(const at::Tensor& logits_bV, const at::Tensor& maximum_b, const at::Tensor& sum_b);
void add_rows(const at::Tensor& out_ND, const at::Tensor& index_K, const at::Tensor& source_KD);
at::Tensor row_dots(const at::Tensor& a_ND, const at::Tensor& a_rows_K, const at::Tensor& b_VD,
                    const at::Tensor& b_rows_K);
void add_scaled_rows(const at::Tensor& out_ND, const at::Tensor& index_K, const ScaledRows& source);

}  // namespace cllm::kernels::cuda
