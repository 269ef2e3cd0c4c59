#include "model/losses/item_logits.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/linalg_vector_norm.h>

#include "model/kernels/compute_dtype.h"

namespace cllm {
namespace {

constexpr double kLeastNorm = 1e-12;  // below it a vector has no direction

at::Tensor lengths(const at::Tensor& x_ND) {
  return at::linalg_vector_norm(x_ND, 2, at::IntArrayRef{1}, /*keepdim=*/true);
}

/// scale x / |x|.
at::Tensor normalised(const at::Tensor& x_ND, double scale) {
  const at::Tensor x = x_ND.to(residual_dtype(x_ND.scalar_type()));
  return (x * (scale / lengths(x).clamp_min(kLeastNorm))).to(x_ND.scalar_type());
}

/// With u = x / |x|: scale (g - u (u . g)) / |x|.
at::Tensor normalised_gradient(const at::Tensor& x_ND, const at::Tensor& gradient_ND, double scale) {
  const at::ScalarType sums = residual_dtype(x_ND.scalar_type());
  const at::Tensor x = x_ND.to(sums), g = gradient_ND.to(sums), length_N1 = lengths(x);
  const at::Tensor u = x / length_N1.clamp_min(kLeastNorm);
  const at::Tensor factor_N1 = (length_N1 > kLeastNorm).to(sums) * (scale / length_N1.clamp_min(kLeastNorm));
  return ((g - u * (u * g).sum(1, /*keepdim=*/true)) * factor_N1).to(gradient_ND.scalar_type());
}

}  // namespace

at::Tensor ItemLogits::of_hidden(const at::Tensor& hidden_AD) const {
  const at::NoGradGuard no_grad;
  switch (kind) {
    case HeadKind::kStandardised: return ((hidden_AD - mean_D) / deviation_D).to(hidden_AD.scalar_type());
    case HeadKind::kCosine: return normalised(hidden_AD, 1 / temperature);
    case HeadKind::kDot: break;
  }
  return hidden_AD;
}

at::Tensor ItemLogits::of_rows(const at::Tensor& rows_VD) const {
  const at::NoGradGuard no_grad;
  return kind == HeadKind::kCosine ? normalised(rows_VD, 1) : rows_VD;
}

at::Tensor ItemLogits::hidden_gradient(const at::Tensor& hidden_AD, const at::Tensor& gradient_AD) const {
  const at::NoGradGuard no_grad;
  switch (kind) {
    case HeadKind::kStandardised: return (gradient_AD / deviation_D).to(gradient_AD.scalar_type());
    case HeadKind::kCosine: return normalised_gradient(hidden_AD, gradient_AD, 1 / temperature);
    case HeadKind::kDot: break;
  }
  return gradient_AD;
}

at::Tensor ItemLogits::rows_gradient(const at::Tensor& rows_VD, const at::Tensor& gradient_VD) const {
  const at::NoGradGuard no_grad;
  return kind == HeadKind::kCosine ? normalised_gradient(rows_VD, gradient_VD, 1) : gradient_VD;
}

}  // namespace cllm
