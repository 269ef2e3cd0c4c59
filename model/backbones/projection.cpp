#include "model/backbones/projection.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/softmax.h>

#include "model/kernels/compute_dtype.h"

namespace cllm {

Projection::Projection(at::Tensor weight, at::Tensor bias, Adapter adapter, at::ScalarType compute)
    : weight_(std::move(weight)), bias_(std::move(bias)), adapter_(std::move(adapter)) {
  if (compute == weight_.scalar_type() && !(compute == at::kBFloat16 && weight_.is_cpu())) return;
  of_compute_ = Linear(weight_.to(compute).t(), /*frozen=*/compute == at::kBFloat16 && weight_.is_cpu());
  weight_ = at::Tensor();
}

at::Tensor Projection::operator()(const at::Tensor& x, const at::Tensor& keys, double rate) const {
  const at::Tensor y = weight_.defined() ? at::mm(x, weight_.t()) : of_compute_(x);
  return adapter_.added_to(bias_.defined() ? y + bias_.to(y.scalar_type()) : y, x, keys, rate);
}

at::Tensor biased_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& bias,
                            double scale) {
  const at::ScalarType sums = residual_dtype(q.scalar_type());
  // Not rounded to bf16 before the softmax: without a factor (T5) scores are large, and so would their roundings be.
  at::Tensor scores = at::matmul(q.to(sums), k.to(sums).transpose(1, 2)) * scale;
  if (bias.defined()) scores = scores + bias;
  return at::matmul(at::softmax(scores, -1).to(v.scalar_type()), v);
}

}  // namespace cllm
