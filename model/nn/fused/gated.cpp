#include "model/nn/fused/gated.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty_like.h>

#include "model/kernels/compute_dtype.h"
#include "model/kernels/cpu/cpu_math.h"
#include "model/kernels/elementwise/cuda.h"
#include "model/nn/differentiable.h"
#include "model/nn/fused/activation_functions.h"

namespace cllm {
namespace {

constexpr int64_t kGrain = 1 << 13;  // values of a thread, at least

struct Range {
  int64_t begin, end;
};

template <class Function, class R, class C>
CLLM_SIMD_CLONES void forward_values(C* out, const C* gate, const C* up, Range range) {
  CLLM_SIMD
  for (int64_t n = range.begin; n < range.end; ++n)
    out[n] = cpu::convert<C>(Function::value(static_cast<R>(gate[n])) * static_cast<R>(up[n]));
}

template <class C>
struct Gradients {
  C *gate, *up;
};

template <class Function, class R, class C>
CLLM_SIMD_CLONES void backward_values(Gradients<C> to, const C* gradient, const C* gate, const C* up, Range range) {
  CLLM_SIMD
  for (int64_t n = range.begin; n < range.end; ++n) {
    const R g = static_cast<R>(gradient[n]), x = static_cast<R>(gate[n]);
    to.gate[n] = cpu::convert<C>(g * static_cast<R>(up[n]) * Function::slope(x));
    to.up[n] = cpu::convert<C>(g * Function::value(x));
  }
}

/// f(a function of Function<R>) by the gate.
template <class R, class F>
void with_gate(Gate gate, F f) {
  if (gate == Gate::kSilu) return f(Silu<R>{});
  f(TanhGelu<R>{});
}

/// Inputs gate, up.
struct Gated : Differentiable {
  Gate gate;
  explicit Gated(Gate function) : gate(function) {}

  Tensors forward(const Tensors& inputs, Tensors& saved) const override {
    const at::Tensor x = inputs[0].contiguous(), up = inputs[1].contiguous();
    saved = {x, up};
    if (!x.is_cpu()) return {kernels::cuda::gated(x, up, gate == Gate::kSilu)};
    at::Tensor out = at::empty_like(x);
    dispatch_compute(x.scalar_type(), [&]<class R, class C>(R, C) {
      with_gate<R>(gate, [&]<class Function>(Function) {
        at::parallel_for(0, x.numel(), kGrain, [&](int64_t begin, int64_t end) {
          forward_values<Function, R, C>(out.mutable_data_ptr<C>(), x.const_data_ptr<C>(), up.const_data_ptr<C>(),
                                         {begin, end});
        });
      });
    });
    return {out};
  }

  Tensors backward(const Saved& saved, const Tensors& gradients) const override {
    const at::Tensor &x = saved.tensors[0], &up = saved.tensors[1], gradient = gradients[0].contiguous();
    if (!x.is_cpu()) {
      const auto [of_gate, of_up] = kernels::cuda::gated_backward(gradient, x, up, gate == Gate::kSilu);
      return {of_gate, of_up};
    }
    at::Tensor grad_x = at::empty_like(x), grad_up = at::empty_like(up);
    dispatch_compute(x.scalar_type(), [&]<class R, class C>(R, C) {
      with_gate<R>(gate, [&]<class Function>(Function) {
        at::parallel_for(0, x.numel(), kGrain, [&](int64_t begin, int64_t end) {
          backward_values<Function, R, C>({grad_x.mutable_data_ptr<C>(), grad_up.mutable_data_ptr<C>()},
                                          gradient.const_data_ptr<C>(), x.const_data_ptr<C>(), up.const_data_ptr<C>(),
                                          {begin, end});
        });
      });
    });
    return {grad_x, grad_up};
  }
};

}  // namespace

at::Tensor gated(const at::Tensor& gate_TF, const at::Tensor& up_TF, Gate gate) {
  return apply(Gated(gate), {gate_TF, up_TF})[0];
}

}  // namespace cllm
