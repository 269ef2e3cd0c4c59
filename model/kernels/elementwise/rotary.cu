#include <ATen/ops/empty_like.h>

#include "model/kernels/device/dispatch_rows.cuh"
#include "model/kernels/device/reduce.cuh"
#include "model/kernels/elementwise/cuda.h"

namespace cllm::kernels::cuda {
namespace {

template <typename R, typename C>
struct Rotation {
  C* out;
  const C* in;      // backward: the gradient of out
  const C* x;       // backward with a norm: what was normed
  R* inverse;       // [T H]; null: no norm
  const R* weight;  // [h]
  R epsilon, offset;
  const R *cos, *sin;  // [T, h / 2]
  int64_t num_rows, heads, half;
};

/// A thread's words of the first half of its head; those of the second stand `half` behind them.
struct HalfWords {
  int64_t row, offset, angle, first, step, end;
  template <typename R, typename C>
  __device__ __forceinline__ HalfWords(int lanes, const Rotation<R, C>& args)
      : row(static_cast<int64_t>(blockIdx.x) * blockDim.y + threadIdx.y), offset(row * 2 * args.half),
        angle(row / args.heads * args.half), first(static_cast<int64_t>(threadIdx.x) * lanes),
        step(static_cast<int64_t>(blockDim.x) * lanes), end(row < args.num_rows ? args.half : 0) {}
};

/// N values of each half.
template <int N, typename R>
struct Halves {
  R first[N] = {}, second[N] = {};

  template <typename T>
  __device__ __forceinline__ void read(const T* from, int64_t half) {
    load<N>(first, from);
    load<N>(second, from + half);
  }
  template <typename T>
  __device__ __forceinline__ void write(T* to, int64_t half) const {
    store<N>(to, first);
    store<N>(to + half, second);
  }
  /// Turns by the angles; `direction` -1: back.
  __device__ __forceinline__ void turn(const R* cos_of, const R* sin_of, R direction) {
    R cos[N], sin[N];
    load<N>(cos, cos_of);
    load<N>(sin, sin_of);
#pragma unroll
    for (int n = 0; n < N; ++n) {
      const R a = first[n], b = second[n], s = direction * sin[n];
      first[n] = a * cos[n] - b * s;
      second[n] = b * cos[n] + a * s;
    }
  }
  template <typename F>
  __device__ __forceinline__ void combine(const Halves& other, F f) {
#pragma unroll
    for (int n = 0; n < N; ++n) {
      first[n] = f(first[n], other.first[n]);
      second[n] = f(second[n], other.second[n]);
    }
  }
  __device__ __forceinline__ R dot(const Halves& other) const {
    R sum = 0;
#pragma unroll
    for (int n = 0; n < N; ++n) sum += first[n] * other.first[n] + second[n] * other.second[n];
    return sum;
  }
};

/// Rows are few words, so several share a warp.
template <int N, typename R, typename C>
__global__ void rotate_kernel(Rotation<R, C> args) {
  const HalfWords words(N, args);
  Halves<N, R> x, w;
  R inverse = 1;
  if (args.inverse) {
    R square = 0;
    for (int64_t d = words.first; d < words.end; d += words.step) {
      x.read(args.in + words.offset + d, args.half);
      square += x.dot(x);
    }
    square = combine_lanes(square, static_cast<int>(blockDim.x), Sum{});
    inverse = R(1) / sqrt(square / static_cast<R>(2 * args.half) + args.epsilon);
    if (threadIdx.x == 0 && words.end > 0) args.inverse[words.row] = inverse;
  }
  for (int64_t d = words.first; d < words.end; d += words.step) {
    x.read(args.in + words.offset + d, args.half);
    if (args.inverse) {
      w.read(args.weight + d, args.half);
      x.combine(w, [&](R value, R weight) { return value * inverse * (weight + args.offset); });
    }
    x.turn(args.cos + words.angle + d, args.sin + words.angle + d, R(1));
    x.write(args.out + words.offset + d, args.half);
  }
}

template <int N, typename R, typename C>
__global__ void rotate_backward_kernel(Rotation<R, C> args) {
  const HalfWords words(N, args);
  Halves<N, R> g, x, w;
  const auto read = [&](int64_t d) {
    g.read(args.in + words.offset + d, args.half);
    g.turn(args.cos + words.angle + d, args.sin + words.angle + d, R(-1));
    if (!args.inverse) return;
    w.read(args.weight + d, args.half);
    g.combine(w, [&](R value, R weight) { return value * (weight + args.offset); });
    x.read(args.x + words.offset + d, args.half);
  };
  R inverse = 1, along = 0;
  if (args.inverse) {
    R dot = 0;
    for (int64_t d = words.first; d < words.end; d += words.step) {
      read(d);
      dot += g.dot(x);
    }
    inverse = words.end > 0 ? args.inverse[words.row] : R(0);
    along = combine_lanes(dot, static_cast<int>(blockDim.x), Sum{}) * inverse * inverse * inverse /
            static_cast<R>(2 * args.half);
  }
  for (int64_t d = words.first; d < words.end; d += words.step) {
    read(d);
    if (args.inverse) g.combine(x, [&](R value, R of_x) { return value * inverse - of_x * along; });
    g.write(args.out + words.offset + d, args.half);
  }
}

/// `x` undefined: forward, or backward without a norm.
at::Tensor run(const at::Tensor& in, const at::Tensor& x, const RotaryCall& call, bool forward) {
  check_dense(in, "what is rotated");
  check_like(call.sin, call.cos, "the angles' sines");
  const int64_t T = in.size(0), half = call.cos.size(1);
  TORCH_CHECK(call.cos.size(0) == T && in.size(1) % (2 * half) == 0, "angles ", call.cos.sizes(), " do not fit heads ",
              in.sizes());
  TORCH_CHECK(!call.norm.weight.defined() || call.norm.weight.numel() == 2 * half, "a head's norm does not fit it");
  const at::Tensor out = at::empty_like(in);
  if (in.numel() == 0) return out;
  const DeviceGuard guard(in.device());
  dispatch_rows(in, half, {out, in, x, call.norm.weight, call.cos, call.sin}, [&](auto r, auto c, auto lanes) {
    using R = decltype(r);
    using C = decltype(c);
    constexpr int N = decltype(lanes)::value;
    const int64_t heads = in.size(1) / (2 * half);
    const Rotation<R, C> args{pointer<C>(out),
                              checked<const C>(in, "what is rotated"),
                              checked<const C>(x, "what was normed"),
                              call.norm.weight.defined() ? checked<R>(call.inverse_TH, "the heads' norms") : nullptr,
                              checked<const R>(call.norm.weight, "the heads' norm"),
                              static_cast<R>(call.norm.epsilon),
                              call.norm.offset ? R(1) : R(0),
                              checked<const R>(call.cos, "the angles' cosines"),
                              checked<const R>(call.sin, "the angles' sines"),
                              T * heads,
                              heads,
                              half};
    launch(forward ? rotate_kernel<N, R, C> : rotate_backward_kernel<N, R, C>,
           short_row_grid(T * heads, divide_up(half, N)), args);
  });
  return out;
}

}  // namespace

at::Tensor norm_and_rotate(const at::Tensor& x, const RotaryCall& call) { return run(x, {}, call, /*forward=*/true); }

at::Tensor norm_and_rotate_backward(const at::Tensor& gradient, const at::Tensor& x, const RotaryCall& call) {
  return run(gradient, x, call, /*forward=*/false);
}

}  // namespace cllm::kernels::cuda
