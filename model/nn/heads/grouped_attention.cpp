#include "model/nn/heads/grouped_attention.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include "model/kernels/compute_dtype.h"
#include "model/nn/differentiable.h"
#include "model/nn/heads/device_attention.h"
#include "model/nn/heads/packed_heads.h"

namespace cllm {
namespace {

/// Inputs q, k, v.
struct GroupedAttention : Differentiable {
  PackedLayout layout;
  GroupedHeads of;
  GroupedAttention(PackedLayout packed, const GroupedHeads& heads) : layout(std::move(packed)), of(heads) {}

  heads::PackedHeads call(const Tensors& qkv, const at::Tensor& lse) const {
    return {.q = qkv[0],
            .k = qkv[1],
            .v = qkv[2],
            .bias_q = {},
            .bias_k = {},
            .bias_v = {},
            .lse = lse,
            .layout = layout,
            .num_heads = of.num_heads,
            .num_kv_heads = of.num_kv_heads,
            .scale = of.scale,
            .window = of.window};
  }

  Tensors forward(const Tensors& inputs, Tensors& saved) const override {
    saved = {inputs[0].contiguous(), inputs[1].contiguous(), inputs[2].contiguous()};
    const at::Tensor out = at::empty_like(saved[0]);
    const at::ScalarType sums = residual_dtype(out.scalar_type());
    const at::Tensor lse = at::empty({of.num_heads, out.size(0)}, out.options().dtype(sums));
    heads::forward(call(saved, lse), out);
    saved.push_back(lse);
    return {out};
  }

  Tensors backward(const Saved& saved, const Tensors& gradients) const override {
    Tensors to{at::empty_like(saved.tensors[0]), at::empty_like(saved.tensors[1]), at::empty_like(saved.tensors[2])};
    heads::backward(call(saved.tensors, saved.tensors[3]), gradients[0].contiguous(), to[0], to[1], to[2]);
    return to;
  }
};

at::Tensor on_device(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const PackedLayout& layout,
                     const GroupedHeads& of) {
  const auto heads = [&](const at::Tensor& x, int64_t count) {
    return x.contiguous().view({x.size(0), count, of.head_width});
  };
  return device::attention({heads(q, of.num_heads), heads(k, of.num_kv_heads), heads(v, of.num_kv_heads)}, layout, of)
      .reshape(q.sizes());
}

}  // namespace

at::Tensor grouped_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const PackedLayout& layout,
                             const GroupedHeads& heads) {
  if (!q.is_cpu()) return on_device(q, k, v, layout, heads);
  return apply(GroupedAttention(layout, heads), {q, k, v})[0];
}

}  // namespace cllm
