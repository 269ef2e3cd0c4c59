#include "model/kernels/segment_sum.h"

#include <ATen/Dispatch.h>
#include <ATen/ops/empty.h>

#include "model/kernels/check.cuh"
#include "model/kernels/cuda.h"
#include "model/kernels/row_gradient.cuh"

namespace cllm::kernels::cuda {
namespace {

/// out[p] = sum of values[order[t]] for t in [begin[p], end[p]).
template <int N, typename A>
__global__ void piece_kernel(A* __restrict__ out, const A* __restrict__ values, const int64_t* __restrict__ order,
                             const int64_t* __restrict__ begin, const int64_t* __restrict__ end, int64_t num_pieces,
                             int64_t width) {
  const int64_t p = static_cast<int64_t>(blockIdx.x) * blockDim.y + threadIdx.y;
  const int64_t column = static_cast<int64_t>(threadIdx.x) * N;
  if (p >= num_pieces || column >= width) return;
  A sum[N] = {};
  accumulate<N>(sum, values + column, order, begin[p], end[p], width);
  store<N>(out + p * width + column, sum);
}

/// out[m] = sum of the contributions of row m; with kAdd on top of what out[m] holds.
template <bool kAdd, int N, typename A>
__global__ void segment_kernel(A* __restrict__ out, Contributions<A> from, int64_t num_rows, int64_t width) {
  const int64_t m = static_cast<int64_t>(blockIdx.x) * blockDim.y + threadIdx.y;
  const int64_t column = static_cast<int64_t>(threadIdx.x) * N;
  if (m >= num_rows || column >= width) return;
  if (kAdd && from.offsets[m] == from.offsets[m + 1]) return;
  A sum[N] = {};
  if (kAdd) load<N>(sum, out + m * width + column);
  add_gradient<N>(sum, from, m, width, column);
  store<N>(out + m * width + column, sum);
}

template <bool kAdd>
void run_segments(const at::Tensor& out_MD, const at::Tensor& values_TD, const RowSegments& segments) {
  check_rows(values_TD, "values");
  check_rows(out_MD, "sums");
  check_index(segments.order_T, "order");
  TORCH_CHECK(out_MD.scalar_type() == values_TD.scalar_type() && out_MD.size(1) == values_TD.size(1),
              "sums and values differ in dtype or width");
  const DeviceGuard guard(values_TD.device());
  const int64_t num_rows = segments.num_rows(), width = values_TD.size(1);
  if (num_rows == 0) return;
  const at::Tensor pieces_PD = sum_pieces(values_TD, segments);
  AT_DISPATCH_FLOATING_TYPES(values_TD.scalar_type(), "segment_sum", [&] {
    constexpr int kN = kLanes<scalar_t>;
    launch(segment_kernel<kAdd, kN, scalar_t>, row_grid(num_rows, width / kN), pointer<scalar_t>(out_MD),
           contributions<scalar_t>(values_TD, &segments, pieces_PD), num_rows, width);
  });
}

}  // namespace

at::Tensor sum_pieces(const at::Tensor& values_TD, const RowSegments& segments) {
  const int64_t num_pieces = segments.num_pieces(), width = values_TD.size(1);
  if (num_pieces == 0) return {};
  at::Tensor out_PD = at::empty({num_pieces, width}, values_TD.options());
  AT_DISPATCH_FLOATING_TYPES(values_TD.scalar_type(), "sum_pieces", [&] {
    constexpr int kN = kLanes<scalar_t>;
    launch(piece_kernel<kN, scalar_t>, row_grid(num_pieces, width / kN), pointer<scalar_t>(out_PD),
           pointer<const scalar_t>(values_TD), pointer<const int64_t>(segments.order_T),
           pointer<const int64_t>(segments.piece_begin_P), pointer<const int64_t>(segments.piece_end_P), num_pieces, width);
  });
  return out_PD;
}

at::Tensor segment_sum(const at::Tensor& values_TD, const RowSegments& segments) {
  at::Tensor out_MD = at::empty({segments.num_rows(), values_TD.size(1)}, values_TD.options());
  run_segments</*kAdd=*/false>(out_MD, values_TD, segments);
  return out_MD;
}

void add_rows(const at::Tensor& out_ND, const at::Tensor& index_K, const at::Tensor& source_KD) {
  run_segments</*kAdd=*/true>(out_ND, source_KD, group_by_row(index_K, out_ND.size(0)));
}

}  // namespace cllm::kernels::cuda
