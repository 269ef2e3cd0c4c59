#pragma once

// The gradient of one row, summed in registers: first half of every row optimiser, and all of segment_sum.

#include <cstdint>

#include "model/kernels/device/check.cuh"
#include "model/kernels/device/pack.cuh"
#include "model/kernels/rows/row_segments.h"

namespace cllm::kernels::cuda {

/// Raw pointers of the contributions; offsets null: row m has one, values[m].
template <typename A>
struct Contributions {
  const A* values;
  const int64_t* order;
  const int64_t* offsets;
  const A* pieces;               // [P, D] sums of the pieces of long rows
  const int64_t* piece_offsets;  // [M+1]
};

/// segments null: values are [M, D].
template <typename A>
Contributions<A> contributions(const at::Tensor& values, const RowSegments* segments, const at::Tensor& pieces_PD) {
  Contributions<A> from{pointer<const A>(values), nullptr, nullptr, pointer<const A>(pieces_PD), nullptr};
  if (segments == nullptr) return from;
  from.order = pointer<const int64_t>(segments->order_T);
  from.offsets = pointer<const int64_t>(segments->offsets_M1);
  from.piece_offsets = pointer<const int64_t>(segments->piece_offsets_M1);
  return from;
}

/// sum += over t in [begin, end) of values[order[t]] (order null: values[t]), in that order; `values` points at this
/// thread's columns.
template <int N, typename A>
__device__ __forceinline__ void accumulate(A (&sum)[N], const A* __restrict__ values, const int64_t* __restrict__ order,
                                           int64_t begin, int64_t end, int64_t width) {
  constexpr int kUnroll = 4;  // loads in flight per thread; the additions stay in order
  int64_t t = begin;
  for (; t + kUnroll <= end; t += kUnroll) {
    A term[kUnroll][N];
#pragma unroll
    for (int k = 0; k < kUnroll; ++k) load<N>(term[k], values + (order ? order[t + k] : t + k) * width);
#pragma unroll
    for (int k = 0; k < kUnroll; ++k) {
#pragma unroll
      for (int n = 0; n < N; ++n) sum[n] += term[k][n];
    }
  }
  for (; t < end; ++t) {
    A term[N];
    load<N>(term, values + (order ? order[t] : t) * width);
#pragma unroll
    for (int n = 0; n < N; ++n) sum[n] += term[n];
  }
}

/// g += the gradient of row m at columns [column, column + N).
template <int N, typename A>
__device__ __forceinline__ void add_gradient(A (&g)[N], const Contributions<A>& from, int64_t m, int64_t width,
                                             int64_t column) {
  if (!from.offsets)
    return accumulate<N>(g, from.values + column, static_cast<const int64_t*>(nullptr), m, m + 1, width);
  const int64_t begin = from.offsets[m], end = from.offsets[m + 1];
  if (end - begin > RowSegments::kLongRow) {
    accumulate<N>(g, from.pieces + column, static_cast<const int64_t*>(nullptr), from.piece_offsets[m],
                  from.piece_offsets[m + 1], width);
  } else {
    accumulate<N>(g, from.values + column, from.order, begin, end, width);
  }
}

}  // namespace cllm::kernels::cuda
