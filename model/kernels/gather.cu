#include <ATen/ops/empty.h>
#include <c10/macros/Macros.h>

#include "model/kernels/check.cuh"
#include "model/kernels/cuda.h"

namespace cllm::kernels::cuda {
namespace {

constexpr int kRowsPerThread = 4;

/// Rows are moved as 16-byte words, whatever their dtype. Every thread has kRowsPerThread loads in flight before its first store.
__global__ void gather_kernel(int4* __restrict__ out, const int4* __restrict__ table, const int64_t* __restrict__ rows,
                              int64_t num_rows, int64_t num_table_rows, int words) {
  const int64_t first = (static_cast<int64_t>(blockIdx.x) * blockDim.y + threadIdx.y) * kRowsPerThread;
  const int word = static_cast<int>(threadIdx.x);
  if (word >= words) return;
  int4 value[kRowsPerThread];
#pragma unroll
  for (int k = 0; k < kRowsPerThread; ++k) {
    if (first + k >= num_rows) break;
    const int64_t row = rows[first + k];
    CUDA_KERNEL_ASSERT(row >= 0 && row < num_table_rows);
    value[k] = __ldg(table + row * words + word);
  }
#pragma unroll
  for (int k = 0; k < kRowsPerThread; ++k) {
    if (first + k < num_rows) out[(first + k) * words + word] = value[k];
  }
}

}  // namespace

bool built() { return true; }

at::Tensor gather_rows(const at::Tensor& table_ND, const at::Tensor& rows_U) {
  check_rows(table_ND, "table");
  check_index(rows_U, "rows");
  const DeviceGuard guard(table_ND.device());
  const int64_t num_rows = rows_U.size(0), words = table_ND.size(1) * static_cast<int64_t>(table_ND.element_size()) / 16;
  at::Tensor out_UD = at::empty({num_rows, table_ND.size(1)}, table_ND.options());
  if (num_rows == 0) return out_UD;
  launch(gather_kernel, row_grid(divide_up(num_rows, kRowsPerThread), words), pointer<int4>(out_UD),
         pointer<const int4>(table_ND), pointer<const int64_t>(rows_U), num_rows, table_ND.size(0), static_cast<int>(words));
  return out_UD;
}

}  // namespace cllm::kernels::cuda
