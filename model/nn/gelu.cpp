#include "model/nn/gelu.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/sum.h>

#include "model/kernels/compute_dtype.h"
#include "model/kernels/cpu/cpu_math.h"
#include "model/kernels/elementwise/cuda.h"
#include "model/nn/differentiable.h"
#include "model/nn/fused/activation_functions.h"

namespace cllm {
namespace {

struct Rows {
  int64_t begin, end, width;
};

template <class Gelu, class R, class C>
CLLM_SIMD_CLONES void forward_rows(C* out, const C* h, const R* bias, Rows rows) {
  for (int64_t t = rows.begin; t < rows.end; ++t) {
    const int64_t row = t * rows.width;
    CLLM_SIMD
    for (int64_t f = 0; f < rows.width; ++f)
      out[row + f] = cpu::convert<C>(Gelu::value(static_cast<R>(h[row + f]) + bias[f]));
  }
}

template <class Gelu, class R, class C>
CLLM_SIMD_CLONES void backward_rows(C* out, const C* gradient, const C* h, const R* bias, Rows rows) {
  for (int64_t t = rows.begin; t < rows.end; ++t) {
    const int64_t row = t * rows.width;
    CLLM_SIMD
    for (int64_t f = 0; f < rows.width; ++f) {
      out[row + f] =
          cpu::convert<C>(static_cast<R>(gradient[row + f]) * Gelu::slope(static_cast<R>(h[row + f]) + bias[f]));
    }
  }
}

/// `gradient` undefined: forward; else its product with the slope.
at::Tensor run(const at::Tensor& h, const at::Tensor& bias, Activation activation, const at::Tensor& gradient = {}) {
  if (!h.is_cpu()) return kernels::cuda::bias_gelu(h, bias, activation == Activation::kGeluTanh, gradient);
  at::Tensor out = at::empty_like(h);
  dispatch_compute(h.scalar_type(), [&]<class R, class C>(R, C) {
    const auto rows = [&](auto gelu, int64_t begin, int64_t end) {
      using Gelu = decltype(gelu);
      const Rows range{begin, end, h.size(1)};
      if (gradient.defined()) {
        backward_rows<Gelu>(out.mutable_data_ptr<C>(), gradient.const_data_ptr<C>(), h.const_data_ptr<C>(),
                            bias.const_data_ptr<R>(), range);
      } else {
        forward_rows<Gelu>(out.mutable_data_ptr<C>(), h.const_data_ptr<C>(), bias.const_data_ptr<R>(), range);
      }
    };
    at::parallel_for(0, h.size(0), 4, [&](int64_t begin, int64_t end) {
      activation == Activation::kGeluTanh ? rows(TanhGelu<R>{}, begin, end) : rows(ErfGelu<R>{}, begin, end);
    });
  });
  return out;
}

struct BiasGelu : Differentiable {
  Activation activation;
  explicit BiasGelu(Activation function) : activation(function) {}

  Tensors forward(const Tensors& h_bias, Tensors& saved) const override {
    saved = h_bias;
    return {run(h_bias[0].contiguous(), h_bias[1], activation)};
  }
  Tensors backward(const Saved& saved, const Tensors& gradients) const override {
    const at::Tensor &h = saved.tensors[0], &bias = saved.tensors[1];
    const at::Tensor grad_h = run(h.contiguous(), bias, activation, gradients[0].contiguous());
    return {grad_h, saved.wanted[1] ? at::sum(grad_h, 0).to(bias.scalar_type()) : at::Tensor()};
  }
};

}  // namespace

at::Tensor bias_gelu(const at::Tensor& h_TF, const at::Tensor& bias_F, Activation activation) {
  return apply(BiasGelu(activation), {h_TF, bias_F})[0];
}

}  // namespace cllm
