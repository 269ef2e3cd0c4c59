#pragma once

// Rows picked out of a table, and the kernels of dist/rows/row_exchange.h by device. Letters: N rows of a table, U
// asked for, D width.

#include <ATen/core/Tensor.h>

#include "dist/rows/row_exchange.h"

namespace cllm::kernels {

/// table_ND[rows_U]: [U, D], any dtype; rows_U int64. On a GPU the kernel of cuda.h.
at::Tensor gather_rows(const at::Tensor& table_ND, const at::Tensor& rows_U);

/// out_ND[rows_K[k]] = source_KD[k]; distinct rows, one dtype, int64 rows.
void scatter_rows(const at::Tensor& out_ND, const at::Tensor& rows_K, const at::Tensor& source_KD);

/// |a - b|^2 of rows of two tables of one shape and dtype: [C], fp64 on the CPU and in the precision of the sums on a
/// GPU; rows_C int64.
at::Tensor square_gaps(const at::Tensor& a_ND, const at::Tensor& b_ND, const at::Tensor& rows_C);

/// On a GPU gather_rows, sums over rows grouped by a stable sort, so in the same order as on the CPU, and ids sorted
/// there, for which a core of the host would take milliseconds.
RowKernels row_kernels(at::Device device);

}  // namespace cllm::kernels
