#include "model/nn/fused/rms_norm.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/sum.h>

#include <cmath>
#include <vector>

#include "model/kernels/compute_dtype.h"
#include "model/kernels/cpu/cpu_math.h"
#include "model/kernels/elementwise/cuda.h"
#include "model/nn/differentiable.h"

namespace cllm {
namespace {

constexpr int64_t kGrain = 16;  // rows of a thread, at least

struct Rows {
  int64_t begin, end, width;
};

/// A norm's weights; null: no norm.
template <class R>
struct Weights {
  const R* data;
  R epsilon, offset;
  explicit Weights(const RmsNorm& norm)
      : data(norm.defined() ? norm.weight_D.const_data_ptr<R>() : nullptr), epsilon(static_cast<R>(norm.epsilon)),
        offset(norm.offset ? R(1) : R(0)) {}
};

template <class R, class C>
struct ForwardCall {
  R* sum;                  // [T, D] x'; may be x
  C* out;                  // [T, D]
  R *inverse_y, *inverse;  // [T] 1 / root mean square of y and x'
  const R* x;
  const C* y;  // null: x' = x
  Weights<R> post, next;
  DropoutMask mask;
};

template <class R, class C>
CLLM_SIMD_CLONES void forward_rows(const ForwardCall<R, C>& a, Rows rows) {
  const int64_t D = rows.width;
  const R scale = static_cast<R>(a.mask.scale()), count = static_cast<R>(D);
  for (int64_t t = rows.begin; t < rows.end; ++t) {
    const R* x = a.x + t * D;
    const C* y = a.y + t * D;
    R* s = a.sum + t * D;
    if (a.y != nullptr) {
      R factor = 1;
      if (a.post.data != nullptr) {
        R square = 0;
        CLLM_SIMD_SUM(square)
        for (int64_t d = 0; d < D; ++d) square += static_cast<R>(y[d]) * static_cast<R>(y[d]);
        factor = R(1) / std::sqrt(square / count + a.post.epsilon);
        a.inverse_y[t] = factor;
        CLLM_SIMD
        for (int64_t d = 0; d < D; ++d) s[d] = static_cast<R>(y[d]) * factor * (a.post.data[d] + a.post.offset);
      } else {
        CLLM_SIMD
        for (int64_t d = 0; d < D; ++d) s[d] = static_cast<R>(y[d]);
      }
      if (a.mask.active()) {
        const DropoutMask::Row mask = a.mask.row(t);
        CLLM_SIMD
        for (int64_t d = 0; d < D; ++d) s[d] = mask.keeps(static_cast<uint32_t>(d)) ? s[d] * scale : R(0);
      }
      CLLM_SIMD
      for (int64_t d = 0; d < D; ++d) s[d] += x[d];
    }
    R square = 0;
    CLLM_SIMD_SUM(square)
    for (int64_t d = 0; d < D; ++d) square += s[d] * s[d];
    const R inverse = R(1) / std::sqrt(square / count + a.next.epsilon);
    a.inverse[t] = inverse;
    CLLM_SIMD
    for (int64_t d = 0; d < D; ++d)
      a.out[t * D + d] = cpu::convert<C>(s[d] * inverse * (a.next.data[d] + a.next.offset));
  }
}

template <class R, class C>
struct BackwardCall {
  R* grad_x;          // [T, D]
  C* grad_y;          // [T, D]; null: not wanted, or the same as grad_x
  const C* grad_out;  // [T, D]; null: zero
  const R* grad_sum;  // [T, D]; null: zero
  const R *sum, *inverse, *inverse_y;
  const C* y;
  Weights<R> post, next;
  DropoutMask mask;
};

/// The gradient of x' from that of its norm and its own.
template <class R, class C>
[[gnu::always_inline]] inline void gradient_of_sum(const BackwardCall<R, C>& a, int64_t t, int64_t D) {
  const R *s = a.sum + t * D, inverse = a.inverse[t];
  const C* g = a.grad_out + t * D;
  R* to = a.grad_x + t * D;
  R dot = 0;
  CLLM_SIMD_SUM(dot)
  for (int64_t d = 0; d < D; ++d) dot += static_cast<R>(g[d]) * (a.next.data[d] + a.next.offset) * s[d];
  const R along = dot * inverse * inverse * inverse / static_cast<R>(D);
  CLLM_SIMD
  for (int64_t d = 0; d < D; ++d)
    to[d] = static_cast<R>(g[d]) * (a.next.data[d] + a.next.offset) * inverse - s[d] * along;
  if (a.grad_sum == nullptr) return;
  CLLM_SIMD
  for (int64_t d = 0; d < D; ++d) to[d] += a.grad_sum[t * D + d];
}

template <class R, class C>
CLLM_SIMD_CLONES void backward_rows(const BackwardCall<R, C>& a, Rows rows, R* row) {
  const int64_t D = rows.width;
  const R scale = static_cast<R>(a.mask.scale());
  for (int64_t t = rows.begin; t < rows.end; ++t) {
    if (a.grad_out != nullptr) {
      gradient_of_sum(a, t, D);
    } else {
      std::copy_n(a.grad_sum + t * D, D, a.grad_x + t * D);
    }
    if (a.grad_y == nullptr) continue;
    const R* g = a.grad_x + t * D;
    if (a.mask.active()) {
      const DropoutMask::Row mask = a.mask.row(t);
      CLLM_SIMD
      for (int64_t d = 0; d < D; ++d) row[d] = mask.keeps(static_cast<uint32_t>(d)) ? g[d] * scale : R(0);
      g = row;
    }
    C* to = a.grad_y + t * D;
    if (a.post.data == nullptr) {
      CLLM_SIMD
      for (int64_t d = 0; d < D; ++d) to[d] = cpu::convert<C>(g[d]);
      continue;
    }
    const C* y = a.y + t * D;
    R dot = 0;
    CLLM_SIMD_SUM(dot)
    for (int64_t d = 0; d < D; ++d) dot += g[d] * (a.post.data[d] + a.post.offset) * static_cast<R>(y[d]);
    const R inverse = a.inverse_y[t], along = dot * inverse * inverse * inverse / static_cast<R>(D);
    CLLM_SIMD
    for (int64_t d = 0; d < D; ++d)
      to[d] = cpu::convert<C>(g[d] * (a.post.data[d] + a.post.offset) * inverse - static_cast<R>(y[d]) * along);
  }
}

template <class F>
const F* pointer_or_null(const at::Tensor& tensor) {
  return tensor.defined() ? tensor.const_data_ptr<F>() : nullptr;
}

/// The sums, the normed rows and the numbers of a row that forward makes and backward is given; in backward the place
/// of the normed rows is taken by their gradient.
using kernels::cuda::RmsNormTensors;

/// What both passes are called with.
struct Norms {
  const RmsNorm &post, &next;
  const DropoutSite& site;
};

void forward_on_cpu(const RmsNormTensors& out, const at::Tensor& x, const at::Tensor& y, const Norms& norms) {
  dispatch_compute(out.normed_TD.scalar_type(), [&]<class R, class C>(R, C) {
    const ForwardCall<R, C> call{y.defined() ? out.sum_TD.mutable_data_ptr<R>() : const_cast<R*>(x.const_data_ptr<R>()),
                                 out.normed_TD.mutable_data_ptr<C>(),
                                 out.inverse_y_T.mutable_data_ptr<R>(),
                                 out.inverse_T.mutable_data_ptr<R>(),
                                 x.const_data_ptr<R>(),
                                 pointer_or_null<C>(y),
                                 Weights<R>(norms.post),
                                 Weights<R>(norms.next),
                                 DropoutMask(norms.site)};
    at::parallel_for(0, x.size(0), kGrain, [&](int64_t begin, int64_t end) {
      forward_rows(call, {begin, end, x.size(1)});
    });
  });
}

/// The gradients of x and y.
struct Gradients {
  at::Tensor x, y;  // y undefined: not wanted, or the same as x
};

void backward_on_cpu(const Gradients& to, const RmsNormTensors& saved, const at::Tensor& y, const at::Tensor& grad_sum,
                     const Norms& norms, at::ScalarType compute) {
  dispatch_compute(compute, [&]<class R, class C>(R, C) {
    const BackwardCall<R, C> call{to.x.mutable_data_ptr<R>(),
                                  to.y.defined() ? to.y.mutable_data_ptr<C>() : nullptr,
                                  pointer_or_null<C>(saved.normed_TD),
                                  pointer_or_null<R>(grad_sum),
                                  saved.sum_TD.const_data_ptr<R>(),
                                  saved.inverse_T.const_data_ptr<R>(),
                                  saved.inverse_y_T.const_data_ptr<R>(),
                                  pointer_or_null<C>(y),
                                  Weights<R>(norms.post),
                                  Weights<R>(norms.next),
                                  DropoutMask(norms.site)};
    at::parallel_for(0, to.x.size(0), kGrain, [&](int64_t begin, int64_t end) {
      std::vector<R> row(static_cast<size_t>(to.x.size(1)));
      backward_rows(call, {begin, end, to.x.size(1)}, row.data());
    });
  });
}

kernels::cuda::Mask device_mask(const DropoutSite& site) {
  return {site.keys_T, site.active() ? site.rate : 0, site.salt};
}

kernels::cuda::RmsNormCall device_call(const Norms& norms) {
  const auto weight = [](const RmsNorm& norm) {
    return kernels::cuda::RmsWeight{norm.weight_D, norm.epsilon, norm.offset};
  };
  return {weight(norms.post), weight(norms.next), device_mask(norms.site)};
}

/// Sum over the tokens of dropout(gradient) * x * inverse.
at::Tensor gradient_of_weight(const at::Tensor& gradient, const at::Tensor& x, const at::Tensor& inverse_T,
                              const DropoutSite& site) {
  if (!x.is_cpu()) return kernels::cuda::rms_weight_gradient(gradient, x, inverse_T, device_mask(site));
  const at::ScalarType sums = inverse_T.scalar_type();
  return at::sum(dropout(gradient.to(sums), site) * x.to(sums) * inverse_T.unsqueeze(1), 0);
}

/// Inputs x, weight of next, and unless it is a norm alone y, weight of post (may be undefined); outputs x', n.
struct AddAndRmsNorm : Differentiable {
  RmsNorm post, next;  // without their weights
  DropoutSite site;
  at::ScalarType compute;
  AddAndRmsNorm(const RmsNorm& before, const RmsNorm& after, DropoutSite dropout, at::ScalarType dtype)
      : post{{}, before.epsilon, before.offset}, next{{}, after.epsilon, after.offset}, site(std::move(dropout)),
        compute(dtype) {}

  RmsNorm with(const RmsNorm& norm, const at::Tensor& weight) const { return {weight, norm.epsilon, norm.offset}; }

  Tensors forward(const Tensors& inputs, Tensors& saved) const override {
    const at::Tensor x = inputs[0].contiguous();
    const at::Tensor y = inputs.size() > 2 ? inputs[2].contiguous() : at::Tensor();
    const at::Tensor weight_y = inputs.size() > 3 ? inputs[3] : at::Tensor();
    at::Tensor sum = y.defined() ? at::empty_like(x) : x, out = at::empty_like(x, x.options().dtype(compute));
    const at::Tensor inverse = at::empty({x.size(0)}, x.options()), inverse_y = at::empty_like(inverse);
    const RmsNormTensors made{sum, out, inverse, inverse_y};
    const RmsNorm before = with(post, weight_y), after = with(next, inputs[1]);
    const Norms norms{before, after, site};
    x.is_cpu() ? forward_on_cpu(made, x, y, norms) : kernels::cuda::add_rms_norm(made, x, y, device_call(norms));
    saved = {sum, inverse, inputs[1], weight_y.defined() ? y : at::Tensor(), inverse_y, weight_y};
    if (!y.defined()) return {out};
    return {sum, out};
  }

  Tensors backward(const Saved& saved, const Tensors& gradients) const override {
    const at::Tensor &sum = saved.tensors[0], &inverse = saved.tensors[1], &y = saved.tensors[3],
                     &inverse_y = saved.tensors[4], &weight_y = saved.tensors[5];
    const bool adds = gradients.size() > 1;
    const auto own = [](const at::Tensor& g) { return g.defined() ? g.contiguous() : g; };
    const at::Tensor grad_sum = adds ? own(gradients[0]) : at::Tensor(), grad_out = own(gradients.back());
    at::Tensor grad_x = at::empty_like(sum), grad_y;
    const bool same = compute == sum.scalar_type() && !site.active() && !weight_y.defined();
    if (adds) grad_y = same ? grad_x : at::empty_like(sum, sum.options().dtype(compute));
    const Gradients to{grad_x, same ? at::Tensor() : grad_y};
    const RmsNormTensors given{sum, grad_out, inverse, inverse_y};
    const RmsNorm before = with(post, weight_y), after = with(next, saved.tensors[2]);
    const Norms norms{before, after, site};
    sum.is_cpu() ? backward_on_cpu(to, given, y, grad_sum, norms, compute)
                 : kernels::cuda::add_rms_norm_backward(to.x, to.y, given, y, grad_sum, device_call(norms));
    Tensors out{grad_x, at::Tensor()};
    if (saved.wanted[1] && grad_out.defined()) out[1] = gradient_of_weight(grad_out, sum, inverse, {});
    if (adds) out.push_back(grad_y);
    if (weight_y.defined())
      out.push_back(saved.wanted[3] ? gradient_of_weight(grad_x, y, inverse_y, site) : at::Tensor());
    return out;
  }
};

}  // namespace

std::pair<at::Tensor, at::Tensor> add_and_rms_norm(const at::Tensor& x_TD, const at::Tensor& y_TD, const RmsNorm& post,
                                                   const RmsNorm& next, const DropoutSite& site) {
  const at::ScalarType compute = y_TD.scalar_type();
  Differentiable::Tensors inputs{x_TD, next.weight_D, y_TD};
  if (post.defined()) inputs.push_back(post.weight_D);
  const Differentiable::Tensors out = cllm::apply(AddAndRmsNorm(post, next, site, compute), inputs);
  return {out[0], out[1]};
}

at::Tensor rms_norm(const at::Tensor& x, const RmsNorm& norm, at::ScalarType compute) {
  const at::Tensor rows = x.reshape({-1, x.size(-1)});
  return cllm::apply(AddAndRmsNorm({}, norm, {}, compute), {rows, norm.weight_D})[0].view(x.sizes());
}

}  // namespace cllm
