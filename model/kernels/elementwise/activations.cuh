#pragma once

// Values and slopes of activations, as model/nn/fused/activation_functions.h has them for the CPU.

#include <math.h>

namespace cllm::kernels::cuda {

constexpr double kTwoRoot = 2 * 0.79788456080286535588, kCubic = 0.044715, kRootHalf = 0.70710678118654752440,
                 kDensity = 0.39894228040143267794;  // 1 / sqrt(2 pi)

/// x sigmoid(u(x)).
template <typename U>
struct TimesSigmoid {
  template <typename R>
  __device__ __forceinline__ static R sigmoid(R x) {
    return R(1) / (R(1) + exp(-U::value(x)));
  }
  template <typename R>
  __device__ __forceinline__ static R value(R x) {
    return x * sigmoid(x);
  }
  template <typename R>
  __device__ __forceinline__ static R slope(R x) {
    const R s = sigmoid(x);
    return s + x * s * (R(1) - s) * U::slope(x);
  }
};

/// gelu_new: 0.5 x (1 + tanh u) = x sigmoid(2 u), u = sqrt(2/pi) (x + 0.044715 x^3) (Hendrycks & Gimpel 2016).
struct TwiceTanhArgument {
  template <typename R>
  __device__ __forceinline__ static R value(R x) {
    return R(kTwoRoot) * (x + R(kCubic) * x * x * x);
  }
  template <typename R>
  __device__ __forceinline__ static R slope(R x) {
    return R(kTwoRoot) * (R(1) + R(3 * kCubic) * x * x);
  }
};
struct Identity {
  template <typename R>
  __device__ __forceinline__ static R value(R x) {
    return x;
  }
  template <typename R>
  __device__ __forceinline__ static R slope(R) {
    return R(1);
  }
};
using TanhGelu = TimesSigmoid<TwiceTanhArgument>;
using Silu = TimesSigmoid<Identity>;

struct ErfGelu {
  template <typename R>
  __device__ __forceinline__ static R value(R x) {
    return R(0.5) * x * (R(1) + erf(x * R(kRootHalf)));
  }
  template <typename R>
  __device__ __forceinline__ static R slope(R x) {
    return R(0.5) * (R(1) + erf(x * R(kRootHalf))) + x * R(kDensity) * exp(R(-0.5) * x * x);
  }
};

}  // namespace cllm::kernels::cuda
