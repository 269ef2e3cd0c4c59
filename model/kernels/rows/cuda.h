#pragma once

// The device side of rows.h and row_update.h; callers above come here through those headers. Letters: N rows of a
// table, U and M rows of one call, T contributions, D width (a multiple of 8; a row is read in 16-byte words). All
// functions work on the current stream and never wait for it. Table weights: fp32, fp64 or bf16; everything else fp32
// (fp64 for an fp64 table). The same call on the same inputs gives the same bits. In a build without CUDA they throw.

#include <ATen/core/Tensor.h>

#include "model/kernels/rows/row_segments.h"
#include "model/kernels/rows/row_update.h"

namespace cllm::kernels::cuda {

/// table_ND[rows_U]: [U, D], any dtype; rows_U int64.
at::Tensor gather_rows(const at::Tensor& table_ND, const at::Tensor& rows_U);

/// out_ND[rows_K[k]] = source_KD[k], any dtype; distinct rows.
void scatter_rows(const at::Tensor& out_ND, const at::Tensor& rows_K, const at::Tensor& source_KD);

/// |a - b|^2 of rows of two tables of one shape and dtype: [C], fp32 (fp64 of fp64 tables).
at::Tensor square_gaps(const at::Tensor& a_ND, const at::Tensor& b_ND, const at::Tensor& rows_C);

/// Sum of the contributions of every row: values_TD [T, D] fp32 or fp64 -> [M, D].
at::Tensor segment_sum(const at::Tensor& values_TD, const RowSegments& segments);

/// row_update.h's functions: the sum of the gradient, the pull and the update in one pass over the rows.
void update_rows(const RowRule& rule, const RowTensors& table, const RowGradient& gradient, const RowCall& call,
                 const Rounding& rounding = {});
void catch_up_rows(const RowRule& rule, const RowTensors& table, const at::Tensor& rows_M, const RowCall& call,
                   const Rounding& rounding = {});

}  // namespace cllm::kernels::cuda
