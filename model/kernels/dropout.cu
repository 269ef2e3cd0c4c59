#include <ATen/Dispatch.h>
#include <ATen/ops/empty_like.h>
#include <math.h>

#include "model/kernels/check.cuh"
#include "model/kernels/cuda.h"
#include "model/kernels/pack.cuh"

namespace cllm::kernels::cuda {
namespace {

/// What a call shares.
struct Draw {
  uint64_t mixed_salt, group;
  uint32_t threshold;
};

/// DropoutMask::Row of model/dropout.h, draw for draw.
struct MaskRow {
  uint32_t low, high, threshold;

  __device__ __forceinline__ MaskRow(uint64_t key, Draw draw) : threshold(draw.threshold) {
    const uint64_t mixed = mix64((key ^ draw.mixed_salt) + draw.group);
    low = static_cast<uint32_t>(mixed);
    high = static_cast<uint32_t>(mixed >> 32);
  }
  __device__ __forceinline__ bool keeps(uint32_t column) const {
    uint32_t x = column * 0x9E3779B9U + low;
    x = (x ^ (x >> 16)) * 0x7FEB352DU + high;
    x = (x ^ (x >> 15)) * 0x846CA68BU;
    return (x ^ (x >> 16)) >= threshold;
  }
};

template <typename T>
__global__ void dropout_kernel(T* __restrict__ out, const T* __restrict__ in, const int64_t* __restrict__ keys, Draw draw,
                               Accumulator<T> scale, int64_t num_rows, int64_t width) {
  constexpr int N = kLanes<T>;
  const int64_t t = static_cast<int64_t>(blockIdx.x) * blockDim.y + threadIdx.y;
  const int64_t column = static_cast<int64_t>(threadIdx.x) * N;
  if (t >= num_rows || column >= width) return;
  const MaskRow mask(static_cast<uint64_t>(keys[t]), draw);
  Accumulator<T> x[N];
  load<N>(x, in + t * width + column);
#pragma unroll
  for (int n = 0; n < N; ++n) x[n] = mask.keeps(static_cast<uint32_t>(column + n)) ? x[n] * scale : 0;
  store<N>(out + t * width + column, x);
}

}  // namespace

at::Tensor dropout(const at::Tensor& x_TD, const at::Tensor& keys_T, double rate, uint64_t salt, int64_t group) {
  check_rows(x_TD, "dropout's input");
  check_index(keys_T, "dropout keys");
  TORCH_CHECK(keys_T.size(0) == x_TD.size(0) && rate >= 0 && rate < 1, "dropout needs one key per row and a rate in [0, 1)");
  const DeviceGuard guard(x_TD.device());
  at::Tensor out_TD = at::empty_like(x_TD);
  if (x_TD.numel() == 0) return out_TD;
  const Draw draw{mix64(salt), static_cast<uint64_t>(group), static_cast<uint32_t>(ldexp(rate, 32))};
  AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, x_TD.scalar_type(), "dropout", [&] {
    using A = Accumulator<scalar_t>;
    launch(dropout_kernel<scalar_t>, row_grid(x_TD.size(0), x_TD.size(1) / kLanes<scalar_t>), pointer<scalar_t>(out_TD),
           pointer<const scalar_t>(x_TD), pointer<const int64_t>(keys_T), draw, static_cast<A>(1.0 / (1.0 - rate)), x_TD.size(0),
           x_TD.size(1));
  });
  return out_TD;
}

}  // namespace cllm::kernels::cuda
