#pragma once

// Small pieces of vectorisable CPU arithmetic. Loops are written for the compiler's vectoriser; CLLM_SIMD_CLONES
// compiles a function for AVX-512, AVX2 and plain x86-64 and chooses when the program starts, so one binary runs
// everywhere.

#include <c10/util/BFloat16.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <type_traits>

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__)
#define CLLM_SIMD_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define CLLM_SIMD_CLONES
#endif

#ifdef _OPENMP
#define CLLM_PRAGMA(text) _Pragma(#text)
#define CLLM_SIMD CLLM_PRAGMA(omp simd)
#define CLLM_SIMD_SUM(...) CLLM_PRAGMA(omp simd reduction(+ : __VA_ARGS__))
#define CLLM_SIMD_MAX(...) CLLM_PRAGMA(omp simd reduction(max : __VA_ARGS__))
#else
#define CLLM_SIMD
#define CLLM_SIMD_SUM(...)
#define CLLM_SIMD_MAX(...)
#endif

namespace cllm::cpu {

/// yes ? a : b by masks: of a choice the compiler makes a branch, which keeps a loop from being vectorised.
[[gnu::always_inline]] inline float choose(bool yes, float a, float b) {
  const uint32_t mask = 0U - static_cast<uint32_t>(yes), of_b = std::bit_cast<uint32_t>(b);
  return std::bit_cast<float>(of_b ^ ((of_b ^ std::bit_cast<uint32_t>(a)) & mask));
}

/// e^x, relative error below 2e-7 (Cephes expf); inputs beyond the range of float saturate.
[[gnu::always_inline]] inline float fast_exp(float x) {
  constexpr float kRound = 12582912.0F;  // 1.5 * 2^23: adding it rounds to a whole number
  x = choose(x < 88.0F, x, 88.0F);
  x = choose(x > -87.0F, x, -87.0F);
  const float n = (x * 1.44269504088896341F + kRound) - kRound;
  const float r = (x - n * 0.693359375F) + n * 2.12194440e-4F;
  float p = 1.9875691500e-4F;
  p = p * r + 1.3981999507e-3F;
  p = p * r + 8.3334519073e-3F;
  p = p * r + 4.1665795894e-2F;
  p = p * r + 1.6666665459e-1F;
  p = p * r + 5.0000001201e-1F;
  p = p * r * r + r + 1.0F;
  return p * std::bit_cast<float>((static_cast<int32_t>(n) + 127) << 23);
}
inline double fast_exp(double x) { return std::exp(x); }

/// value in type C. Rounds to bf16 without the branch on NaN that keeps at::BFloat16's own conversion from being
/// vectorised; the NaNs that arithmetic makes stay NaN.
template <class C, class R>
[[gnu::always_inline]] inline C convert(R value) {
  if constexpr (std::is_same_v<C, c10::BFloat16>) {
    const auto bits = std::bit_cast<uint32_t>(value);
    return C(static_cast<uint16_t>((bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16), C::from_bits());
  } else {
    return static_cast<C>(value);
  }
}

}  // namespace cllm::cpu
