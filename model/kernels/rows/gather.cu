#include <ATen/Dispatch.h>
#include <ATen/ops/empty.h>
#include <c10/macros/Macros.h>

#include "model/kernels/device/check.cuh"
#include "model/kernels/device/pack.cuh"
#include "model/kernels/device/reduce.cuh"
#include "model/kernels/rows/cuda.h"

namespace cllm::kernels::cuda {
namespace {

constexpr int kRowsPerThread = 4;

/// Rows are moved as 16-byte words, whatever their dtype. Every thread has kRowsPerThread loads in flight before its
/// first store.
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

/// The way back: row k of `in` goes to row rows[k] of `out`.
__global__ void scatter_kernel(int4* __restrict__ out, const int4* __restrict__ in, const int64_t* __restrict__ rows,
                               int64_t num_rows, int64_t num_out_rows, int words) {
  const int64_t first = (static_cast<int64_t>(blockIdx.x) * blockDim.y + threadIdx.y) * kRowsPerThread;
  const int word = static_cast<int>(threadIdx.x);
  if (word >= words) return;
  int4 value[kRowsPerThread];
#pragma unroll
  for (int k = 0; k < kRowsPerThread; ++k) {
    if (first + k < num_rows) value[k] = __ldg(in + (first + k) * words + word);
  }
#pragma unroll
  for (int k = 0; k < kRowsPerThread; ++k) {
    if (first + k >= num_rows) break;
    const int64_t row = rows[first + k];
    CUDA_KERNEL_ASSERT(row >= 0 && row < num_out_rows);
    out[row * words + word] = value[k];
  }
}

/// One block works on blockDim.y rows, one thread on kLanes<W> columns of a row.
template <typename W, typename A>
__global__ void __launch_bounds__(kMaxBlock)
    square_gap_kernel(A* __restrict__ out, const W* __restrict__ a, const W* __restrict__ b,
                      const int64_t* __restrict__ rows, int64_t num_rows, int64_t width) {
  constexpr int N = kLanes<W>;
  __shared__ A scratch[kWarp];
  const int64_t c = static_cast<int64_t>(blockIdx.x) * blockDim.y + threadIdx.y;
  const int64_t column = static_cast<int64_t>(threadIdx.x) * N;
  A square = 0;
  if (c < num_rows && column < width) {
    A x[N], y[N];
    load<N>(x, a + rows[c] * width + column);
    load<N>(y, b + rows[c] * width + column);
#pragma unroll
    for (int n = 0; n < N; ++n) square += (x[n] - y[n]) * (x[n] - y[n]);
  }
  square = combine_row(square, scratch, Sum{});
  if (c < num_rows && threadIdx.x == 0) out[c] = square;
}

}  // namespace

at::Tensor gather_rows(const at::Tensor& table_ND, const at::Tensor& rows_U) {
  check_rows(table_ND, "table");
  check_index(rows_U, "rows");
  const DeviceGuard guard(table_ND.device());
  const int64_t num_rows = rows_U.size(0),
                words = table_ND.size(1) * static_cast<int64_t>(table_ND.element_size()) / 16;
  at::Tensor out_UD = at::empty({num_rows, table_ND.size(1)}, table_ND.options());
  if (num_rows == 0) return out_UD;
  launch(gather_kernel, row_grid(divide_up(num_rows, kRowsPerThread), words), pointer<int4>(out_UD),
         pointer<const int4>(table_ND), pointer<const int64_t>(rows_U), num_rows, table_ND.size(0),
         static_cast<int>(words));
  return out_UD;
}

void scatter_rows(const at::Tensor& out_ND, const at::Tensor& rows_K, const at::Tensor& source_KD) {
  check_rows(out_ND, "output");
  check_rows(source_KD, "source");
  check_index(rows_K, "rows");
  const int64_t num_rows = rows_K.size(0), words = out_ND.size(1) * static_cast<int64_t>(out_ND.element_size()) / 16;
  TORCH_CHECK(source_KD.size(0) == num_rows && source_KD.size(1) == out_ND.size(1) &&
                  source_KD.scalar_type() == out_ND.scalar_type(),
              "rows that differ in number, width or dtype from where they go");
  const DeviceGuard guard(out_ND.device());
  if (num_rows == 0) return;
  launch(scatter_kernel, row_grid(divide_up(num_rows, kRowsPerThread), words), pointer<int4>(out_ND),
         pointer<const int4>(source_KD), pointer<const int64_t>(rows_K), num_rows, out_ND.size(0),
         static_cast<int>(words));
}

at::Tensor square_gaps(const at::Tensor& a_ND, const at::Tensor& b_ND, const at::Tensor& rows_C) {
  check_rows(a_ND, "table");
  check_rows(b_ND, "other table");
  check_index(rows_C, "rows");
  TORCH_CHECK(a_ND.sizes() == b_ND.sizes() && a_ND.scalar_type() == b_ND.scalar_type(),
              "tables differ in shape or dtype");
  const DeviceGuard guard(a_ND.device());
  const int64_t num_rows = rows_C.size(0), width = a_ND.size(1);
  at::Tensor out_C =
      at::empty({num_rows}, a_ND.options().dtype(a_ND.scalar_type() == at::kDouble ? at::kDouble : at::kFloat));
  if (num_rows == 0) return out_C;
  AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, a_ND.scalar_type(), "square_gaps", [&] {
    using A = Accumulator<scalar_t>;
    launch(square_gap_kernel<scalar_t, A>, row_grid(num_rows, width / kLanes<scalar_t>), pointer<A>(out_C),
           pointer<const scalar_t>(a_ND), pointer<const scalar_t>(b_ND), pointer<const int64_t>(rows_C), num_rows,
           width);
  });
  return out_C;
}

}  // namespace cllm::kernels::cuda
