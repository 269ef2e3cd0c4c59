#pragma once

#include "model/kernels/device/grid.h"

namespace cllm::kernels::cuda {

struct Sum {
  template <typename A>
  __device__ __forceinline__ A operator()(A a, A b) const {
    return a + b;
  }
};
struct Max {
  template <typename A>
  __device__ __forceinline__ A operator()(A a, A b) const {
    return b > a ? b : a;
  }
};

/// Combines the values of `lanes` threads of a warp beside each other, a power of two, in the same order in every run,
/// and returns the result to all of them. Every thread of the block calls it.
template <typename A, typename Op>
__device__ __forceinline__ A combine_lanes(A value, int lanes, Op op) {
  for (int lane = lanes / 2; lane > 0; lane /= 2) value = op(value, __shfl_xor_sync(0xFFFFFFFFu, value, lane));
  return value;
}

/// Combines the values of the threads of one row (equal threadIdx.y; blockDim.x whole warps), in the same order in
/// every run, and returns the result to all of them. Every thread of the block calls it. scratch: one value per warp of
/// the block.
template <typename A, typename Op>
__device__ __forceinline__ A combine_row(A value, A* scratch, Op op) {
  value = combine_lanes(value, kWarp, op);
  const int warps_per_row = static_cast<int>(blockDim.x) / kWarp;
  if (warps_per_row == 1) return value;
  const int first = static_cast<int>(threadIdx.y) * warps_per_row;
  __syncthreads();  // all have read the result before
  if (threadIdx.x % kWarp == 0) scratch[first + static_cast<int>(threadIdx.x) / kWarp] = value;
  __syncthreads();
  A all = scratch[first];
  for (int k = 1; k < warps_per_row; ++k) all = op(all, scratch[first + k]);
  return all;
}

}  // namespace cllm::kernels::cuda
