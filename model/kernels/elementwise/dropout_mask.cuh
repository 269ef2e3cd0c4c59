#pragma once

#include <ATen/core/Tensor.h>
#include <math.h>

#include <cstdint>

#include "model/kernels/device/check.cuh"
#include "model/kernels/device/pack.cuh"
#include "model/kernels/elementwise/cuda.h"

namespace cllm::kernels::cuda {

/// What the rows of a call share: model/nn/dropout.h's mask. keys null: everything is kept.
struct Draw {
  const int64_t* keys;
  uint64_t mixed_salt, group;
  uint32_t threshold;
};

/// The arguments of a call. Checks that there is one key per row.
inline Draw make_draw(const Mask& mask, int64_t num_rows, int64_t group = 0) {
  if (!mask.keys_T.defined() || mask.rate == 0) return {nullptr, 0, 0, 0};
  check_index(mask.keys_T, "dropout keys");
  TORCH_CHECK(mask.keys_T.size(0) == num_rows && mask.rate > 0 && mask.rate < 1,
              "dropout needs one key per row and a rate in [0, 1)");
  return {pointer<const int64_t>(mask.keys_T), mix64(mask.salt), static_cast<uint64_t>(group),
          static_cast<uint32_t>(ldexp(mask.rate, 32))};
}

/// What a kept element is multiplied by.
template <typename R>
R scale_of(const Mask& mask) {
  return static_cast<R>(1.0 / (1.0 - mask.rate));
}

/// DropoutMask::Row of model/nn/dropout.h, draw for draw.
struct MaskRow {
  uint32_t low, high, threshold;

  __device__ __forceinline__ MaskRow(uint64_t key, const Draw& draw) : threshold(draw.threshold) {
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

/// x <- x / (1 - rate) where the mask of token t keeps it, 0 elsewhere; nothing if dropout is off.
template <int N, typename A>
__device__ __forceinline__ void drop(A (&x)[N], const Draw& draw, A scale, int64_t t, int64_t column) {
  if (!draw.keys) return;
  const MaskRow mask(static_cast<uint64_t>(draw.keys[t]), draw);
#pragma unroll
  for (int n = 0; n < N; ++n) x[n] = mask.keeps(static_cast<uint32_t>(column + n)) ? x[n] * scale : A(0);
}

}  // namespace cllm::kernels::cuda
