#pragma once

#include <cstdint>
#include <cstring>

#include "model/kernels/device/pack.cuh"
#include "model/kernels/rows/row_update.h"

namespace cllm::kernels::cuda {

/// fp32 -> bf16, up with the probability of the dropped part: 16 random bits are added below the kept ones. NaN and Inf
/// pass.
__device__ __forceinline__ c10::BFloat16 round_stochastically(float value, uint32_t random16) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof(bits));
  if ((bits & 0x7F800000u) == 0x7F800000u) return c10::BFloat16(value);
  return c10::BFloat16(static_cast<unsigned short>((bits + random16) >> 16), c10::BFloat16::from_bits());
}

/// Writes columns [column, column + N) of a row.
template <int N, typename W, typename A>
__device__ __forceinline__ void store_weight(W* to, const A (&w)[N], const Rounding&, int64_t, int64_t, int64_t) {
  store<N>(to, w);
}

template <int N>
__device__ __forceinline__ void store_weight(c10::BFloat16* to, const float (&w)[N], const Rounding& rounding,
                                             int64_t row, int64_t width, int64_t column) {
  if (rounding.key == 0) return store<N>(to, w);
  int64_t shift = rounding.shift[0];
#pragma unroll
  for (int group = 1; group < Rounding::kMaxGroups; ++group) {
    if (row >= rounding.first[group]) shift = rounding.shift[group];
  }
  const int64_t global = row + shift;
  const uint64_t key = rounding.key + static_cast<uint64_t>(global * width + column);
  float rounded[N];
#pragma unroll
  for (int n = 0; n < N; n += 4) {
    const uint64_t random = mix64(key + static_cast<uint64_t>(n));
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      rounded[n + k] = round_stochastically(w[n + k], static_cast<uint32_t>(random >> (16 * k)) & 0xFFFFu);
    }
  }
  store<N>(to, rounded);
}

}  // namespace cllm::kernels::cuda
