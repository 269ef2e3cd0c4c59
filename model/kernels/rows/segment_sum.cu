#include "model/kernels/rows/segment_sum.h"

#include <ATen/Dispatch.h>
#include <ATen/ops/empty.h>

#include "model/kernels/device/check.cuh"
#include "model/kernels/rows/cuda.h"
#include "model/kernels/rows/row_gradient.cuh"
#include "model/kernels/softmax/cuda.h"

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

/// Contribution t is scale[t] times row rows[t] of `values`.
template <typename A, typename S>
struct Scaled {
  const S* values;
  const int64_t* rows;
  const A* scale;
  const int64_t* order;
};

/// sum += the contributions order[t] for t in [begin, end), in that order, at this thread's columns.
template <int N, typename A, typename S>
__device__ __forceinline__ void accumulate_scaled(A (&sum)[N], const Scaled<A, S>& from, int64_t begin, int64_t end,
                                                  int64_t width, int64_t column) {
  constexpr int kUnroll = 4;  // loads in flight per thread; the additions stay in order
  for (int64_t t = begin; t < end; t += kUnroll) {
    A term[kUnroll][N], scale[kUnroll];
#pragma unroll
    for (int k = 0; k < kUnroll; ++k) {
      if (t + k >= end) break;
      const int64_t place = from.order[t + k];
      scale[k] = from.scale[place];
      load<N>(term[k], from.values + from.rows[place] * width + column);
    }
#pragma unroll
    for (int k = 0; k < kUnroll; ++k) {
      if (t + k >= end) break;
#pragma unroll
      for (int n = 0; n < N; ++n) sum[n] += scale[k] * term[k][n];
    }
  }
}

/// piece_kernel and segment_kernel of scaled rows.
template <int N, typename A, typename S>
__global__ void __launch_bounds__(kMaxBlock)
    scaled_piece_kernel(A* __restrict__ out, Scaled<A, S> from, const int64_t* __restrict__ begin,
                        const int64_t* __restrict__ end, int64_t num_pieces, int64_t width) {
  const int64_t p = static_cast<int64_t>(blockIdx.x) * blockDim.y + threadIdx.y;
  const int64_t column = static_cast<int64_t>(threadIdx.x) * N;
  if (p >= num_pieces || column >= width) return;
  A sum[N] = {};
  accumulate_scaled<N>(sum, from, begin[p], end[p], width, column);
  store<N>(out + p * width + column, sum);
}

template <int N, typename A, typename S>
__global__ void __launch_bounds__(kMaxBlock)
    scaled_segment_kernel(A* __restrict__ out, Scaled<A, S> from, Contributions<A> segments, int64_t num_rows,
                          int64_t width) {
  const int64_t m = static_cast<int64_t>(blockIdx.x) * blockDim.y + threadIdx.y;
  const int64_t column = static_cast<int64_t>(threadIdx.x) * N;
  if (m >= num_rows || column >= width) return;
  const int64_t begin = segments.offsets[m], end = segments.offsets[m + 1];
  if (begin == end) return;
  A sum[N];
  load<N>(sum, out + m * width + column);
  if (end - begin > RowSegments::kLongRow) {
    accumulate<N>(sum, segments.pieces + column, static_cast<const int64_t*>(nullptr), segments.piece_offsets[m],
                  segments.piece_offsets[m + 1], width);
  } else {
    accumulate_scaled<N>(sum, from, begin, end, width, column);
  }
  store<N>(out + m * width + column, sum);
}

template <typename A, typename S>
void run_scaled(const at::Tensor& out_ND, const RowSegments& segments, const ScaledRows& source) {
  constexpr int kN = kLanes<S>;
  const int64_t num_rows = segments.num_rows(), num_pieces = segments.num_pieces(), width = out_ND.size(1);
  const Scaled<A, S> from{pointer<const S>(source.values_VD), pointer<const int64_t>(source.rows_K),
                          pointer<const A>(source.scale_K), pointer<const int64_t>(segments.order_T)};
  at::Tensor pieces_PD;
  if (num_pieces > 0) {
    pieces_PD = at::empty({num_pieces, width}, out_ND.options());
    launch(scaled_piece_kernel<kN, A, S>, row_grid(num_pieces, width / kN), pointer<A>(pieces_PD), from,
           pointer<const int64_t>(segments.piece_begin_P), pointer<const int64_t>(segments.piece_end_P), num_pieces,
           width);
  }
  launch(scaled_segment_kernel<kN, A, S>, row_grid(num_rows, width / kN), pointer<A>(out_ND), from,
         contributions<A>(at::Tensor(), &segments, pieces_PD), num_rows, width);
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
           pointer<const int64_t>(segments.piece_begin_P), pointer<const int64_t>(segments.piece_end_P), num_pieces,
           width);
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

void add_scaled_rows(const at::Tensor& out_ND, const at::Tensor& index_K, const ScaledRows& source) {
  check_rows(out_ND, "sums");
  check_rows(source.values_VD, "values");
  check_index(index_K, "index");
  check_index(source.rows_K, "rows");
  const int64_t K = index_K.size(0);
  TORCH_CHECK(source.rows_K.size(0) == K && source.scale_K.is_contiguous() && source.scale_K.numel() == K &&
                  source.scale_K.scalar_type() == out_ND.scalar_type() && source.values_VD.size(1) == out_ND.size(1),
              "scaled rows that differ in number, width or dtype from what they are added to");
  if (K == 0 || out_ND.size(0) == 0) return;
  const DeviceGuard guard(out_ND.device());
  const RowSegments segments = group_by_row(index_K, out_ND.size(0));
  if (out_ND.scalar_type() == at::kDouble) {
    TORCH_CHECK(source.values_VD.scalar_type() == at::kDouble, "values of fp64 sums are fp64");
    run_scaled<double, double>(out_ND, segments, source);
  } else if (source.values_VD.scalar_type() == at::kFloat) {
    run_scaled<float, float>(out_ND, segments, source);
  } else {
    TORCH_CHECK(out_ND.scalar_type() == at::kFloat && source.values_VD.scalar_type() == at::kBFloat16,
                "values of fp32 sums are fp32 or bf16");
    run_scaled<float, at::BFloat16>(out_ND, segments, source);
  }
}

}  // namespace cllm::kernels::cuda
