#include "model/nn/fused/rotary.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/sum.h>

#include <cmath>

#include "model/kernels/compute_dtype.h"
#include "model/kernels/cpu/cpu_math.h"
#include "model/kernels/elementwise/cuda.h"
#include "model/nn/differentiable.h"

namespace cllm {
namespace {

constexpr int64_t kGrain = 8;  // tokens of a thread, at least

template <class R, class C>
struct Call {
  C* out;
  const C* in;      // backward: the gradient of out
  const C* x;       // backward with a norm: what was normed
  R* inverse;       // [T, heads] 1 / root mean square; null: no norm
  const R* weight;  // [h]
  R epsilon, offset;
  const R *cos, *sin;  // [T, h / 2]
  int64_t heads, half;
};

template <class R, class C>
CLLM_SIMD_CLONES void forward_tokens(const Call<R, C>& a, int64_t begin, int64_t end) {
  const int64_t H = a.half, h = 2 * H;
  for (int64_t n = begin * a.heads; n < end * a.heads; ++n) {
    const C* x = a.in + n * h;
    C* out = a.out + n * h;
    const R *cos = a.cos + n / a.heads * H, *sin = a.sin + n / a.heads * H;
    if (a.inverse == nullptr) {
      CLLM_SIMD
      for (int64_t d = 0; d < H; ++d) {
        const R first = static_cast<R>(x[d]), second = static_cast<R>(x[d + H]);
        out[d] = cpu::convert<C>(first * cos[d] - second * sin[d]);
        out[d + H] = cpu::convert<C>(second * cos[d] + first * sin[d]);
      }
      continue;
    }
    R square = 0;
    CLLM_SIMD_SUM(square)
    for (int64_t d = 0; d < h; ++d) square += static_cast<R>(x[d]) * static_cast<R>(x[d]);
    const R inverse = R(1) / std::sqrt(square / static_cast<R>(h) + a.epsilon);
    a.inverse[n] = inverse;
    CLLM_SIMD
    for (int64_t d = 0; d < H; ++d) {
      const R first = static_cast<R>(x[d]) * inverse * (a.weight[d] + a.offset),
              second = static_cast<R>(x[d + H]) * inverse * (a.weight[d + H] + a.offset);
      out[d] = cpu::convert<C>(first * cos[d] - second * sin[d]);
      out[d + H] = cpu::convert<C>(second * cos[d] + first * sin[d]);
    }
  }
}

template <class R, class C>
CLLM_SIMD_CLONES void backward_tokens(const Call<R, C>& a, int64_t begin, int64_t end) {
  const int64_t H = a.half, h = 2 * H;
  for (int64_t n = begin * a.heads; n < end * a.heads; ++n) {
    const C *g = a.in + n * h, *x = a.x + n * h;
    C* out = a.out + n * h;
    const R *cos = a.cos + n / a.heads * H, *sin = a.sin + n / a.heads * H;
    if (a.inverse == nullptr) {
      CLLM_SIMD
      for (int64_t d = 0; d < H; ++d) {
        const R first = static_cast<R>(g[d]), second = static_cast<R>(g[d + H]);
        out[d] = cpu::convert<C>(first * cos[d] + second * sin[d]);
        out[d + H] = cpu::convert<C>(second * cos[d] - first * sin[d]);
      }
      continue;
    }
    const R inverse = a.inverse[n];
    const auto first_of = [&](int64_t d) {
      return (static_cast<R>(g[d]) * cos[d] + static_cast<R>(g[d + H]) * sin[d]) * (a.weight[d] + a.offset);
    };
    const auto second_of = [&](int64_t d) {
      return (static_cast<R>(g[d + H]) * cos[d] - static_cast<R>(g[d]) * sin[d]) * (a.weight[d + H] + a.offset);
    };
    R dot = 0;
    CLLM_SIMD_SUM(dot)
    for (int64_t d = 0; d < H; ++d) dot += first_of(d) * static_cast<R>(x[d]) + second_of(d) * static_cast<R>(x[d + H]);
    const R along = dot * inverse * inverse * inverse / static_cast<R>(h);
    CLLM_SIMD
    for (int64_t d = 0; d < H; ++d) {
      const R first = first_of(d) * inverse - static_cast<R>(x[d]) * along,
              second = second_of(d) * inverse - static_cast<R>(x[d + H]) * along;
      out[d] = cpu::convert<C>(first);
      out[d + H] = cpu::convert<C>(second);
    }
  }
}

/// x [T, heads, h] rotated back.
at::Tensor rotated_back(const at::Tensor& x, const Angles& angles) {
  const int64_t half = x.size(2) / 2;
  const at::Tensor first = x.narrow(2, 0, half), second = x.narrow(2, half, half);
  const at::Tensor cos = angles.cos.unsqueeze(1), sin = angles.sin.unsqueeze(1);
  return at::cat({first * cos + second * sin, second * cos - first * sin}, 2);
}

/// Inputs x, and the norm's weight if there is a norm.
struct NormAndRotate : Differentiable {
  double epsilon;
  bool offset;
  Angles angles;
  NormAndRotate(const RmsNorm& norm, Angles by) : epsilon(norm.epsilon), offset(norm.offset), angles(std::move(by)) {}

  /// `gradient` undefined: forward.
  at::Tensor run(const at::Tensor& x, const at::Tensor& weight, at::Tensor& inverse, const at::Tensor& gradient) const {
    const bool forward = !gradient.defined();
    if (!angles.cos.is_cpu()) {
      const kernels::cuda::RotaryCall call{angles.cos, angles.sin, {weight, epsilon, offset}, inverse};
      return forward ? kernels::cuda::norm_and_rotate(x, call)
                     : kernels::cuda::norm_and_rotate_backward(gradient, x, call);
    }
    at::Tensor out = at::empty_like(forward ? x : gradient);
    dispatch_compute(out.scalar_type(), [&]<class R, class C>(R, C) {
      const int64_t half = angles.cos.size(1);
      const Call<R, C> call{out.mutable_data_ptr<C>(),
                            (forward ? x : gradient).const_data_ptr<C>(),
                            x.defined() ? x.const_data_ptr<C>() : nullptr,
                            weight.defined() ? inverse.mutable_data_ptr<R>() : nullptr,
                            weight.defined() ? weight.const_data_ptr<R>() : nullptr,
                            static_cast<R>(epsilon),
                            offset ? R(1) : R(0),
                            angles.cos.const_data_ptr<R>(),
                            angles.sin.const_data_ptr<R>(),
                            out.size(1) / (2 * half),
                            half};
      at::parallel_for(0, out.size(0), kGrain, [&](int64_t begin, int64_t end) {
        forward ? forward_tokens(call, begin, end) : backward_tokens(call, begin, end);
      });
    });
    return out;
  }

  Tensors forward(const Tensors& inputs, Tensors& saved) const override {
    const at::Tensor x = inputs[0].contiguous(), weight = inputs.size() > 1 ? inputs[1] : at::Tensor();
    at::Tensor inverse;
    if (weight.defined()) {
      const int64_t heads = x.size(1) / weight.size(0);
      inverse = at::empty({x.size(0), heads}, x.options().dtype(residual_dtype(x.scalar_type())));
    }
    at::Tensor out = run(x, weight, inverse, {});
    if (weight.defined()) saved = {x, weight, inverse};
    return {out};
  }

  Tensors backward(const Saved& saved, const Tensors& gradients) const override {
    const at::Tensor gradient = gradients[0].contiguous();
    at::Tensor none;
    if (saved.tensors.empty()) return {run({}, {}, none, gradient)};
    const at::Tensor &x = saved.tensors[0], &weight = saved.tensors[1];
    at::Tensor inverse = saved.tensors[2], grad_weight;
    if (saved.wanted[1]) grad_weight = gradient_of_weight(gradient, x, inverse);
    return {run(x, weight, inverse, gradient), grad_weight};
  }

 private:
  /// Sum over tokens and heads of the gradient, rotated back, times x / root mean square of x.
  at::Tensor gradient_of_weight(const at::Tensor& gradient, const at::Tensor& x, const at::Tensor& inverse) const {
    const at::ScalarType sums = inverse.scalar_type();
    const int64_t h = 2 * angles.cos.size(1);
    if (x.is_cpu()) {
      const auto heads = [&](const at::Tensor& of) { return of.to(sums).view({x.size(0), x.size(1) / h, h}); };
      return at::sum(rotated_back(heads(gradient), angles) * heads(x) * inverse.unsqueeze(2), at::IntArrayRef{0, 1});
    }
    const at::Tensor back = kernels::cuda::norm_and_rotate_backward(gradient.to(sums), {}, {angles.cos, angles.sin});
    return kernels::cuda::rms_weight_gradient(back.view({-1, h}), x.view({-1, h}), inverse.view({-1}));
  }
};

}  // namespace

at::Tensor norm_and_rotate(const at::Tensor& x, const RmsNorm& norm, const Angles& angles) {
  Differentiable::Tensors inputs{x};
  if (norm.defined()) inputs.push_back(norm.weight_D);
  return cllm::apply(NormAndRotate(norm, angles), inputs)[0];
}

}  // namespace cllm
