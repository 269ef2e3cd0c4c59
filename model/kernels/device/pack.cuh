#pragma once

// 16-byte memory access: N consecutive elements of a row as N values in the accumulation type. N = 1: one element, for
// rows that are not whole 16-byte words.

#include <c10/util/BFloat16.h>

#include <cstdint>
#include <cstring>

namespace cllm::kernels::cuda {

template <typename T>
struct AccumulatorOf {
  using type = float;
};
template <>
struct AccumulatorOf<double> {
  using type = double;
};
template <typename T>
using Accumulator = typename AccumulatorOf<T>::type;

template <typename T>
constexpr int kLanes = 16 / static_cast<int>(sizeof(T));  // elements of one 16-byte access

/// Reads N elements; `from` is 16-byte aligned and N * sizeof(T) a multiple of 16, unless N is 1.
template <int N, typename T, typename A>
__device__ __forceinline__ void load(A (&out)[N], const T* __restrict__ from) {
  if constexpr (N == 1) {
    out[0] = static_cast<A>(*from);
  } else {
    constexpr int kWords = N * static_cast<int>(sizeof(T)) / 16;
    static_assert(kWords * 16 == N * static_cast<int>(sizeof(T)), "whole 16-byte words");
    int4 words[kWords];
    T values[N];
#pragma unroll
    for (int k = 0; k < kWords; ++k) words[k] = reinterpret_cast<const int4*>(from)[k];
    memcpy(static_cast<void*>(values), words, sizeof(words));
#pragma unroll
    for (int n = 0; n < N; ++n) out[n] = static_cast<A>(values[n]);
  }
}

/// Writes N elements, rounded to nearest.
template <int N, typename T, typename A>
__device__ __forceinline__ void store(T* __restrict__ to, const A (&in)[N]) {
  if constexpr (N == 1) {
    *to = static_cast<T>(in[0]);
  } else {
    constexpr int kWords = N * static_cast<int>(sizeof(T)) / 16;
    static_assert(kWords * 16 == N * static_cast<int>(sizeof(T)), "whole 16-byte words");
    int4 words[kWords];
    T values[N];
#pragma unroll
    for (int n = 0; n < N; ++n) values[n] = static_cast<T>(in[n]);
    memcpy(words, static_cast<const void*>(values), sizeof(words));
#pragma unroll
    for (int k = 0; k < kWords; ++k) reinterpret_cast<int4*>(to)[k] = words[k];
  }
}

/// data/random.h's mix64, which CUDA 17 cannot include.
__host__ __device__ __forceinline__ uint64_t mix64(uint64_t x) {
  x += 0x9E3779B97F4A7C15ULL;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ULL;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBULL;
  return x ^ (x >> 31);
}

}  // namespace cllm::kernels::cuda
