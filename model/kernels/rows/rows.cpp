#include "model/kernels/rows/rows.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/_unique2.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/mul.h>

#include <algorithm>

#include "dist/device/device.h"
#include "model/kernels/compute_dtype.h"
#include "model/kernels/rows/cuda.h"

namespace cllm::kernels {

at::Tensor gather_rows(const at::Tensor& table_ND, const at::Tensor& rows_U) {
  return table_ND.is_cpu() ? at::index_select(table_ND, 0, rows_U) : cuda::gather_rows(table_ND, rows_U);
}

void scatter_rows(const at::Tensor& out_ND, const at::Tensor& rows_K, const at::Tensor& source_KD) {
  if (!out_ND.is_cpu()) return cuda::scatter_rows(out_ND, rows_K, source_KD);
  out_ND.index_copy_(0, rows_K, source_KD);
}

at::Tensor square_gaps(const at::Tensor& a_ND, const at::Tensor& b_ND, const at::Tensor& rows_C) {
  if (!a_ND.is_cpu()) return cuda::square_gaps(a_ND, b_ND, rows_C);
  const at::ScalarType sums = residual_dtype(a_ND.scalar_type());
  const at::Tensor gap_CD = at::index_select(a_ND, 0, rows_C).to(sums) - at::index_select(b_ND, 0, rows_C).to(sums);
  return at::mul(gap_CD, gap_CD).sum(1, /*keepdim=*/false, at::kDouble);
}

namespace {

UniqueRows unique_rows_on(at::Device device, std::span<const int32_t> rows_T) {
  at::Tensor on_host_T = at::empty({static_cast<int64_t>(rows_T.size())}, at::kInt);
  std::copy(rows_T.begin(), rows_T.end(), on_host_T.mutable_data_ptr<int32_t>());
  const auto [rows_U, position_T, unused] =
      at::_unique2(upload(on_host_T, device), /*sorted=*/true, /*return_inverse=*/true);
  const at::Tensor distinct = rows_U.cpu();
  const int32_t* const first = distinct.const_data_ptr<int32_t>();
  return {{first, first + distinct.numel()}, position_T};
}

}  // namespace

RowKernels row_kernels(at::Device device) {
  if (device.is_cpu()) return cpu_row_kernels();
  return {cuda::gather_rows,
          [](const at::Tensor& values_PD, const at::Tensor& row_of_P, int64_t num_rows) {
            return cuda::segment_sum(values_PD, group_by_row(row_of_P, num_rows));
          },
          [device](std::span<const int32_t> rows_T) { return unique_rows_on(device, rows_T); }, cuda::scatter_rows};
}

}  // namespace cllm::kernels
