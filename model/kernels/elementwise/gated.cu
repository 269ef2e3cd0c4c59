#include <ATen/ops/empty_like.h>

#include "model/kernels/device/dispatch_rows.cuh"
#include "model/kernels/elementwise/activations.cuh"
#include "model/kernels/elementwise/cuda.h"

namespace cllm::kernels::cuda {
namespace {

template <int N, typename Function, typename C>
__global__ void gated_kernel(C* __restrict__ out, const C* __restrict__ gate, const C* __restrict__ up,
                             int64_t num_words) {
  const int64_t word = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (word >= num_words) return;
  Accumulator<C> x[N], u[N];
  load<N>(x, gate + word * N);
  load<N>(u, up + word * N);
#pragma unroll
  for (int n = 0; n < N; ++n) x[n] = Function::value(x[n]) * u[n];
  store<N>(out + word * N, x);
}

template <typename C>
struct GatedBackward {
  C *grad_gate, *grad_up;
  const C *gradient, *gate, *up;
  int64_t num_words;
};

template <int N, typename Function, typename C>
__global__ void gated_backward_kernel(GatedBackward<C> args) {
  const int64_t word = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (word >= args.num_words) return;
  Accumulator<C> g[N], x[N], u[N];
  load<N>(g, args.gradient + word * N);
  load<N>(x, args.gate + word * N);
  load<N>(u, args.up + word * N);
#pragma unroll
  for (int n = 0; n < N; ++n) {
    u[n] *= g[n] * Function::slope(x[n]);
    g[n] *= Function::value(x[n]);
  }
  store<N>(args.grad_gate + word * N, u);
  store<N>(args.grad_up + word * N, g);
}

void check_pair(const at::Tensor& gate, const at::Tensor& up) {
  check_dense(gate, "the gate");
  check_like(up, gate, "what the gate multiplies");
}

}  // namespace

at::Tensor gated(const at::Tensor& gate, const at::Tensor& up, bool silu) {
  check_pair(gate, up);
  at::Tensor out = at::empty_like(gate);
  if (gate.numel() == 0) return out;
  const DeviceGuard guard(gate.device());
  dispatch_rows(gate, gate.numel(), {out, gate, up}, [&](auto, auto c, auto lanes) {
    using C = decltype(c);
    constexpr int N = decltype(lanes)::value;
    const int64_t num_words = gate.numel() / N;
    launch(silu ? gated_kernel<N, Silu, C> : gated_kernel<N, TanhGelu, C>, flat_grid(num_words),
           checked<C>(out, "the result"), checked<const C>(gate, "the gate"),
           checked<const C>(up, "what the gate multiplies"), num_words);
  });
  return out;
}

std::pair<at::Tensor, at::Tensor> gated_backward(const at::Tensor& gradient, const at::Tensor& gate,
                                                 const at::Tensor& up, bool silu) {
  check_pair(gate, up);
  check_like(gradient, gate, "the gradient of the gated");
  const at::Tensor grad_gate = at::empty_like(gate), grad_up = at::empty_like(up);
  if (gate.numel() == 0) return {grad_gate, grad_up};
  const DeviceGuard guard(gate.device());
  dispatch_rows(gate, gate.numel(), {grad_gate, grad_up, gradient, gate, up}, [&](auto, auto c, auto lanes) {
    using C = decltype(c);
    constexpr int N = decltype(lanes)::value;
    const int64_t num_words = gate.numel() / N;
    const GatedBackward<C> args{pointer<C>(grad_gate),
                                pointer<C>(grad_up),
                                checked<const C>(gradient, "the gradient of the gated"),
                                checked<const C>(gate, "the gate"),
                                checked<const C>(up, "what the gate multiplies"),
                                num_words};
    launch(silu ? gated_backward_kernel<N, Silu, C> : gated_backward_kernel<N, TanhGelu, C>, flat_grid(num_words),
           args);
  });
  return {grad_gate, grad_up};
}

}  // namespace cllm::kernels::cuda
