#pragma once

// Values and slopes of activations, for loops that the compiler vectorises. R: float or double.

#include <cmath>
#include <numbers>

#include "model/kernels/cpu/cpu_math.h"

namespace cllm {

/// gelu_new: 0.5 x (1 + tanh u) = x * sigmoid(2 u), u = sqrt(2/pi) (x + 0.044715 x^3) (Hendrycks & Gimpel 2016).
template <class R>
struct TanhGelu {
  static constexpr R kTwoRoot = static_cast<R>(2 * 0.79788456080286535588), kCubic = static_cast<R>(0.044715);

  [[gnu::always_inline]] static R sigmoid(R x) {
    return R(1) / (R(1) + cpu::fast_exp(-kTwoRoot * (x + kCubic * x * x * x)));
  }
  [[gnu::always_inline]] static R value(R x) { return x * sigmoid(x); }
  [[gnu::always_inline]] static R slope(R x) {
    const R s = sigmoid(x);
    return s + x * s * (R(1) - s) * kTwoRoot * (R(1) + R(3) * kCubic * x * x);
  }
};

template <class R>
struct ErfGelu {
  static R value(R x) { return R(0.5) * x * (R(1) + std::erf(x * R(std::numbers::sqrt2 / 2))); }
  static R slope(R x) {
    constexpr R kDensity = static_cast<R>(std::numbers::inv_sqrtpi / std::numbers::sqrt2);
    return R(0.5) * (R(1) + std::erf(x * R(std::numbers::sqrt2 / 2))) + x * kDensity * cpu::fast_exp(R(-0.5) * x * x);
  }
};

/// x * sigmoid(x).
template <class R>
struct Silu {
  [[gnu::always_inline]] static R sigmoid(R x) { return R(1) / (R(1) + cpu::fast_exp(-x)); }
  [[gnu::always_inline]] static R value(R x) { return x * sigmoid(x); }
  [[gnu::always_inline]] static R slope(R x) {
    const R s = sigmoid(x);
    return s + x * s * (R(1) - s);
  }
};

}  // namespace cllm
