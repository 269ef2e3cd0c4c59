#include "model/nn/attention.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/sum.h>

#include <cmath>

#include "model/nn/differentiable.h"
#include "model/nn/heads/device_attention.h"
#include "model/nn/heads/packed_heads.h"

namespace cllm {
namespace {

/// Inputs qkv, bias.
struct Attention : Differentiable {
  PackedLayout layout;
  int64_t num_heads;
  DropoutSite site;
  Attention(PackedLayout packed, int64_t count, DropoutSite dropout)
      : layout(std::move(packed)), num_heads(count), site(std::move(dropout)) {}

  heads::PackedHeads of(const at::Tensor& qkv, const at::Tensor& bias, const at::Tensor& lse) const {
    const int64_t D = qkv.size(1) / 3;
    const auto part = [D](const at::Tensor& x, int64_t n) { return x.narrow(x.dim() - 1, n * D, D); };
    return {.q = part(qkv, 0),
            .k = part(qkv, 1),
            .v = part(qkv, 2),
            .bias_q = part(bias, 0),
            .bias_k = part(bias, 1),
            .bias_v = part(bias, 2),
            .lse = lse,
            .layout = layout,
            .num_heads = num_heads,
            .num_kv_heads = num_heads,
            .scale = 1 / std::sqrt(static_cast<double>(D / num_heads)),
            .site = site};
  }

  Tensors forward(const Tensors& inputs, Tensors& saved) const override {
    const at::Tensor &qkv = inputs[0], &bias = inputs[1];
    const at::Tensor out = at::empty({qkv.size(0), qkv.size(1) / 3}, qkv.options());
    const at::Tensor lse = at::empty({num_heads, qkv.size(0)}, bias.options());
    heads::forward(of(qkv, bias, lse), out);
    saved = {qkv, bias, lse};
    return {out};
  }

  Tensors backward(const Saved& saved, const Tensors& gradients) const override {
    const at::Tensor &qkv = saved.tensors[0], &bias = saved.tensors[1];
    const at::Tensor grad_qkv = at::empty_like(qkv);
    const heads::PackedHeads to = of(grad_qkv, bias, {});
    heads::backward(of(qkv, bias, saved.tensors[2]), gradients[0].contiguous(), to.q, to.k, to.v);
    return {grad_qkv, saved.wanted[1] ? at::sum(grad_qkv, 0).to(bias.scalar_type()) : at::Tensor()};
  }
};

at::Tensor on_device(const at::Tensor& qkv_T3D, const at::Tensor& bias_3D, const PackedLayout& layout,
                     int64_t num_heads, const DropoutSite& site) {
  const int64_t T = qkv_T3D.size(0), D = qkv_T3D.size(1) / 3, E = D / num_heads;
  const at::Tensor qkv = bias_3D.defined() ? qkv_T3D + bias_3D.to(qkv_T3D.scalar_type()) : qkv_T3D;
  const std::vector<at::Tensor> parts = qkv.view({T, 3 * num_heads, E}).split(num_heads, 1);
  const GroupedHeads heads{num_heads, num_heads, E, 1 / std::sqrt(static_cast<double>(E))};
  return device::attention({parts[0], parts[1], parts[2]}, layout, heads, site).reshape({T, D});
}

}  // namespace

at::Tensor causal_attention(const at::Tensor& qkv_T3D, const at::Tensor& bias_3D, const PackedLayout& layout,
                            int64_t num_heads, const DropoutSite& site) {
  if (!qkv_T3D.is_cpu()) return on_device(qkv_T3D, bias_3D, layout, num_heads, site);
  return apply(Attention(layout, num_heads, site), {qkv_T3D.contiguous(), bias_3D})[0];
}

}  // namespace cllm
