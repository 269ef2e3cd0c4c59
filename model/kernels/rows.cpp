#include "model/kernels/rows.h"

#include <ATen/ops/index_select.h>

#include "model/kernels/cuda.h"

namespace cllm::kernels {

at::Tensor gather_rows(const at::Tensor& table_ND, const at::Tensor& rows_U) {
  return table_ND.is_cpu() ? at::index_select(table_ND, 0, rows_U) : cuda::gather_rows(table_ND, rows_U);
}

RowKernels row_kernels(at::Device device) {
  if (device.is_cpu()) return cpu_row_kernels();
  return {cuda::gather_rows, [](const at::Tensor& values_PD, const at::Tensor& row_of_P, int64_t num_rows) {
            return cuda::segment_sum(values_PD, group_by_row(row_of_P, num_rows));
          }};
}

}  // namespace cllm::kernels
