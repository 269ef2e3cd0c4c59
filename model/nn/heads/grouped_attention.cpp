#include "model/nn/heads/grouped_attention.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/repeat_interleave.h>
#include <ATen/ops/scaled_dot_product_attention.h>

#include <optional>

#include "model/kernels/compute_dtype.h"
#include "model/nn/differentiable.h"
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

/// Which keys each query sees, bool [n, n].
at::Tensor window_mask(int64_t n, int64_t window, at::Device device) {
  const at::Tensor place = at::arange(n, at::TensorOptions().dtype(at::kLong).device(device));
  const at::Tensor behind = place.unsqueeze(1) - place.unsqueeze(0);
  return behind.ge(0).logical_and(behind.lt(window));
}

at::Tensor of_operators(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const PackedLayout& layout,
                        const GroupedHeads& of) {
  const int64_t T = q.size(0), group = of.num_heads / of.num_kv_heads;
  const auto heads_of = [&](const at::Tensor& x, int64_t count) { return x.view({T, count, of.head_width}); };
  const auto of_queries = [&](const at::Tensor& x) {
    const at::Tensor own = heads_of(x, of.num_kv_heads);
    return group == 1 ? own : at::repeat_interleave(own, group, 1);
  };
  const at::Tensor q_THh = heads_of(q, of.num_heads), k_THh = of_queries(k), v_THh = of_queries(v);
  std::vector<at::Tensor> parts;
  for (int64_t b = 0; b < layout.num_sequences(); ++b) {
    const int64_t first = layout.offsets[static_cast<size_t>(b)],
                  count = layout.offsets[static_cast<size_t>(b) + 1] - first;
    const auto part = [&](const at::Tensor& x) { return x.narrow(0, first, count).transpose(0, 1).unsqueeze(0); };
    const bool narrow = of.window > 0 && of.window < count;
    const std::optional<at::Tensor> mask =
        narrow ? std::optional(window_mask(count, of.window, q.device())) : std::optional<at::Tensor>();
    const at::Tensor out =
        at::scaled_dot_product_attention(part(q_THh), part(k_THh), part(v_THh), mask, 0.0, !narrow, of.scale);
    parts.push_back(out.squeeze(0).transpose(0, 1).reshape({count, q.size(1)}));
  }
  return at::cat(parts);
}

}  // namespace

at::Tensor grouped_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const PackedLayout& layout,
                             const GroupedHeads& heads) {
  if (!q.is_cpu()) return of_operators(q, k, v, layout, heads);
  return apply(GroupedAttention(layout, heads), {q, k, v})[0];
}

}  // namespace cllm
