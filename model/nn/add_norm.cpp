#include "model/nn/add_norm.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/native_layer_norm_backward.h>
#include <ATen/ops/sum.h>

#include <tuple>

#include "model/kernels/compute_dtype.h"
#include "model/kernels/cpu/cpu_math.h"
#include "model/kernels/elementwise/cuda.h"
#include "model/nn/differentiable.h"

namespace cllm {
namespace {

struct Rows {
  int64_t begin, end, width;
};

template <class R, class C>
struct NormForward {
  R* sum;      // [T, D] x'; may be x
  C* out;      // [T, D]
  R* mean;     // [T]
  R* inverse;  // [T] 1 / standard deviation
  const R* x;
  const C* y;  // null: x' = x
  const R *bias, *gamma, *beta;
  R epsilon;
  DropoutMask mask;
};

template <class R, class C>
CLLM_SIMD_CLONES void norm_forward_rows(const NormForward<R, C>& a, Rows rows) {
  const int64_t D = rows.width;
  const R scale = static_cast<R>(a.mask.scale());
  for (int64_t t = rows.begin; t < rows.end; ++t) {
    const R* x = a.x + t * D;
    R* s = a.sum + t * D;
    if (a.y != nullptr && a.mask.active()) {
      const DropoutMask::Row mask = a.mask.row(t);
      CLLM_SIMD
      for (int64_t d = 0; d < D; ++d) {
        const R y = static_cast<R>(a.y[t * D + d]) + a.bias[d];
        s[d] = x[d] + (mask.keeps(static_cast<uint32_t>(d)) ? y * scale : R(0));
      }
    } else if (a.y != nullptr) {
      CLLM_SIMD
      for (int64_t d = 0; d < D; ++d) s[d] = x[d] + (static_cast<R>(a.y[t * D + d]) + a.bias[d]);
    }
    R total = 0, square = 0;
    CLLM_SIMD_SUM(total)
    for (int64_t d = 0; d < D; ++d) total += s[d];
    const R mean = total / static_cast<R>(D);
    CLLM_SIMD_SUM(square)
    for (int64_t d = 0; d < D; ++d) square += (s[d] - mean) * (s[d] - mean);
    const R inverse = R(1) / std::sqrt(square / static_cast<R>(D) + a.epsilon);
    CLLM_SIMD
    for (int64_t d = 0; d < D; ++d)
      a.out[t * D + d] = cpu::convert<C>((s[d] - mean) * inverse * a.gamma[d] + a.beta[d]);
    a.mean[t] = mean;
    a.inverse[t] = inverse;
  }
}

template <class R, class C>
struct NormBackward {
  R* grad_x;          // [T, D]
  C* grad_y;          // [T, D]; null: not wanted, or the same as grad_x
  const C* grad_out;  // [T, D]; null: zero
  const R* grad_sum;  // [T, D]; null: zero
  const R *sum, *mean, *inverse, *gamma;
  DropoutMask mask;
};

template <class R, class C>
CLLM_SIMD_CLONES void norm_backward_rows(const NormBackward<R, C>& a, Rows rows) {
  const int64_t D = rows.width;
  const R scale = static_cast<R>(a.mask.scale());
  for (int64_t t = rows.begin; t < rows.end; ++t) {
    const R *s = a.sum + t * D, mean = a.mean[t], inverse = a.inverse[t];
    R* gx = a.grad_x + t * D;
    const C* g = a.grad_out + t * D;
    R first = 0, second = 0;
    CLLM_SIMD_SUM(first, second)
    for (int64_t d = 0; d < D; ++d) {
      const R scaled = static_cast<R>(g[d]) * a.gamma[d];
      first += scaled;
      second += scaled * ((s[d] - mean) * inverse);
    }
    first /= static_cast<R>(D);
    second /= static_cast<R>(D);
    const auto gradient = [&](int64_t d) {
      return inverse * (static_cast<R>(g[d]) * a.gamma[d] - first - (s[d] - mean) * inverse * second);
    };
    if (a.grad_sum != nullptr) {
      CLLM_SIMD
      for (int64_t d = 0; d < D; ++d) gx[d] = gradient(d) + a.grad_sum[t * D + d];
    } else {
      CLLM_SIMD
      for (int64_t d = 0; d < D; ++d) gx[d] = gradient(d);
    }
    if (a.grad_y == nullptr) continue;
    C* gy = a.grad_y + t * D;
    if (a.mask.active()) {
      const DropoutMask::Row mask = a.mask.row(t);
      CLLM_SIMD
      for (int64_t d = 0; d < D; ++d)
        gy[d] = cpu::convert<C>(mask.keeps(static_cast<uint32_t>(d)) ? gx[d] * scale : R(0));
    } else {
      CLLM_SIMD
      for (int64_t d = 0; d < D; ++d) gy[d] = cpu::convert<C>(gx[d]);
    }
  }
}

template <class F>
const F* pointer_or_null(const at::Tensor& tensor) {
  return tensor.defined() ? tensor.const_data_ptr<F>() : nullptr;
}

void forward_on_cpu(const kernels::cuda::NormTensors& out, const at::Tensor& x, const at::Tensor& y,
                    const at::Tensor& bias, const Norm& norm, const DropoutSite& site) {
  dispatch_compute(y.scalar_type(), [&]<class R, class C>(R, C) {
    const NormForward<R, C> args{out.sum_TD.mutable_data_ptr<R>(),
                                 out.normed_TD.mutable_data_ptr<C>(),
                                 out.mean_T.mutable_data_ptr<R>(),
                                 out.inverse_T.mutable_data_ptr<R>(),
                                 x.const_data_ptr<R>(),
                                 y.const_data_ptr<C>(),
                                 bias.const_data_ptr<R>(),
                                 norm.gamma.const_data_ptr<R>(),
                                 norm.beta.const_data_ptr<R>(),
                                 static_cast<R>(norm.epsilon),
                                 DropoutMask(site)};
    at::parallel_for(0, x.size(0), 16, [&](int64_t begin, int64_t end) {
      norm_forward_rows(args, {begin, end, x.size(1)});
    });
  });
}

/// saved.normed_TD: the gradient of the normed rows; grad_y undefined: the same as grad_x.
void backward_on_cpu(const at::Tensor& grad_x, const at::Tensor& grad_y, const kernels::cuda::NormTensors& saved,
                     const at::Tensor& grad_sum, const at::Tensor& gamma, const DropoutSite& site) {
  dispatch_compute(saved.normed_TD.scalar_type(), [&]<class R, class C>(R, C) {
    const NormBackward<R, C> args{grad_x.mutable_data_ptr<R>(),
                                  grad_y.defined() ? grad_y.mutable_data_ptr<C>() : nullptr,
                                  saved.normed_TD.const_data_ptr<C>(),
                                  pointer_or_null<R>(grad_sum),
                                  saved.sum_TD.const_data_ptr<R>(),
                                  saved.mean_T.const_data_ptr<R>(),
                                  saved.inverse_T.const_data_ptr<R>(),
                                  gamma.const_data_ptr<R>(),
                                  DropoutMask(site)};
    at::parallel_for(0, grad_x.size(0), 16, [&](int64_t begin, int64_t end) {
      norm_backward_rows(args, {begin, end, grad_x.size(1)});
    });
  });
}

kernels::cuda::NormCall device_call(const Norm& norm, const DropoutSite& site) {
  return {norm.gamma, norm.beta, norm.epsilon, {site.keys_T, site.active() ? site.rate : 0, site.salt}};
}

/// x' = x + dropout(y + bias); n = layer_norm(x'). Inputs x, y, bias, gamma, beta; outputs x', n.
struct AddNorm : Differentiable {
  double epsilon;
  DropoutSite site;
  AddNorm(double norm_epsilon, DropoutSite dropout) : epsilon(norm_epsilon), site(std::move(dropout)) {}

  Tensors forward(const Tensors& inputs, Tensors& saved) const override {
    const at::Tensor x = inputs[0].contiguous(), y = inputs[1].contiguous(), &bias = inputs[2];
    const Norm norm{inputs[3], inputs[4], epsilon};
    at::Tensor sum = at::empty_like(x), out = at::empty_like(y);
    at::Tensor mean = at::empty({x.size(0), 1}, x.options()), inverse = at::empty_like(mean);
    const kernels::cuda::NormTensors made{sum, out, mean, inverse};
    x.is_cpu() ? forward_on_cpu(made, x, y, bias, norm, site)
               : kernels::cuda::add_norm(made, x, y, bias, device_call(norm, site));
    saved = {sum, mean, inverse, norm.gamma, norm.beta};
    return {sum, out};
  }

  Tensors backward(const Saved& saved, const Tensors& gradients) const override {
    const at::Tensor &sum = saved.tensors[0], &mean = saved.tensors[1], &inverse = saved.tensors[2];
    const at::Tensor &gamma = saved.tensors[3], &beta = saved.tensors[4];
    const at::Tensor grad_sum = gradients[0].defined() ? gradients[0].contiguous() : gradients[0];
    TORCH_CHECK(gradients[1].defined(), "the normed result must take part in the loss");
    const at::Tensor grad_out = gradients[1].contiguous();
    at::Tensor grad_x = at::empty_like(sum);
    const bool same = grad_out.scalar_type() == sum.scalar_type() && !site.active();
    at::Tensor grad_y = same ? grad_x : at::empty_like(grad_out);
    const at::Tensor separate = same ? at::Tensor() : grad_y;
    const kernels::cuda::NormTensors given{sum, grad_out, mean, inverse};
    sum.is_cpu()
        ? backward_on_cpu(grad_x, separate, given, grad_sum, gamma, site)
        : kernels::cuda::add_norm_backward(grad_x, separate, given, grad_sum, device_call({gamma, beta}, site));
    at::Tensor grad_bias, grad_gamma, grad_beta;
    if (saved.wanted[2]) grad_bias = at::sum(grad_y, 0).to(sum.scalar_type());
    if (saved.wanted[3] || saved.wanted[4]) {
      std::tie(std::ignore, grad_gamma, grad_beta) = at::native_layer_norm_backward(
          grad_out.to(sum.scalar_type()), sum, {sum.size(1)}, mean, inverse, gamma, beta, {false, true, true});
    }
    return {grad_x, grad_y, grad_bias, grad_gamma, grad_beta};
  }
};

}  // namespace

std::pair<at::Tensor, at::Tensor> add_and_norm(const at::Tensor& x_TD, const at::Tensor& y_TD, const at::Tensor& bias_D,
                                               const Norm& norm, const DropoutSite& site) {
  const auto out = apply(AddNorm(norm.epsilon, site), {x_TD, y_TD, bias_D, norm.gamma, norm.beta});
  return {out[0], out[1]};
}

at::Tensor norm_only(const at::Tensor& x_TD, const Norm& norm, at::ScalarType compute) {
  return at::layer_norm(x_TD, {x_TD.size(1)}, norm.gamma, norm.beta, norm.epsilon).to(compute);
}

}  // namespace cllm
