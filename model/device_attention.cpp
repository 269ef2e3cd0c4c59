#include "model/device_attention.h"

#include <ATen/Context.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/_flash_attention_backward.h>
#include <ATen/ops/_flash_attention_forward.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/stack.h>

#include <cmath>

#include "data/random.h"
#include "model/compute_dtype.h"
#include "model/differentiable.h"
#include "model/kernels/cuda.h"

// Letters as in backbone.h; H heads, n tokens of one sequence, E = D / H.

namespace cllm::device {
namespace {

struct FlashAttention : Differentiable {
  int64_t longest;
  double rate;
  FlashAttention(int64_t longest_sequence, double dropout_rate) : longest(longest_sequence), rate(dropout_rate) {}

  /// qkv [T, 3, H, E] bf16, offsets int32 [B+1] -> [T, H, E].
  Tensors forward(const Tensors& inputs, Tensors& saved) const override {
    const at::Tensor &qkv = inputs[0], &offsets_B1 = inputs[1];
    const auto [out, lse, rng_state, unused, debug] = at::_flash_attention_forward(
        qkv.select(1, 0), qkv.select(1, 1), qkv.select(1, 2), offsets_B1, offsets_B1, longest, longest, rate,
        /*is_causal=*/true, /*return_debug_mask=*/false);
    saved = {qkv, offsets_B1, out, lse, rng_state, unused};
    return {out};
  }

  Tensors backward(const Saved& saved, const Tensors& gradients) const override {
    const Tensors& s = saved.tensors;
    const at::Tensor &qkv = s[0], &offsets_B1 = s[1];
    const auto [dq, dk, dv] =
        at::_flash_attention_backward(gradients[0].contiguous(), qkv.select(1, 0), qkv.select(1, 1), qkv.select(1, 2), s[2], s[3],
                                      offsets_B1, offsets_B1, longest, longest, rate, /*is_causal=*/true, s[4], s[5]);
    return {at::stack({dq, dk, dv}, 1), {}};
  }
};

/// 1 / (1 - rate) where the site keeps a score of the n tokens from `begin`, 0 elsewhere: [H, n, n].
at::Tensor score_mask(const DropoutSite& site, int64_t begin, int64_t n, int64_t num_heads, const at::TensorOptions& options) {
  const at::Tensor ones = at::ones({n, (n + 7) / 8 * 8}, options), keys_n = site.keys_T.narrow(0, begin, n).contiguous();
  std::vector<at::Tensor> heads;
  for (int64_t h = 0; h < num_heads; ++h)
    heads.push_back(kernels::cuda::dropout(ones, keys_n, site.rate, site.salt, h).narrow(1, 0, n));
  return at::stack(heads);
}

/// qkv [T, 3, H, E] fp32 or fp64 -> [T, H, E].
at::Tensor exact_attention(const at::Tensor& qkv, const PackedLayout& layout, const DropoutSite& site) {
  const double scale = 1 / std::sqrt(static_cast<double>(qkv.size(3)));
  std::vector<at::Tensor> sequences;
  for (int64_t b = 0; b < layout.num_sequences(); ++b) {
    const int64_t begin = layout.offsets[static_cast<size_t>(b)], n = layout.offsets[static_cast<size_t>(b) + 1] - begin;
    const at::Tensor part = qkv.narrow(0, begin, n).permute({1, 2, 0, 3});  // [3, H, n, E]
    const at::Tensor hidden = at::ones({n, n}, qkv.options().dtype(at::kBool)).triu(1);
    const at::Tensor scores = (at::matmul(part[0], part[1].transpose(1, 2)) * scale).masked_fill(hidden, -INFINITY);
    at::Tensor p_Hnn = at::softmax(scores, -1);
    if (site.active()) p_Hnn = p_Hnn * score_mask(site, begin, n, qkv.size(2), qkv.options());
    sequences.push_back(at::matmul(p_Hnn, part[2]).transpose(0, 1));
  }
  return at::cat(sequences);
}

/// The flash kernel's mask as a function of the batch and the place alone, so that a resumed run draws it again.
void seed_generator(at::Device device, uint64_t seed) {
  at::Generator generator = at::globalContext().defaultGenerator(device);
  const std::scoped_lock lock(generator.mutex());
  generator.set_current_seed(seed);
}

at::Tensor flash_attention(const at::Tensor& qkv, const PackedLayout& layout, const DropoutSite& site) {
  if (site.active()) seed_generator(qkv.device(), mix64(layout.dropout_seed ^ site.salt));
  return apply(FlashAttention(layout.longest, site.active() ? site.rate : 0.0), {qkv, layout.offsets_B1})[0];
}

}  // namespace

at::Tensor causal_attention(const at::Tensor& qkv_T3D, const at::Tensor& bias_3D, const PackedLayout& layout, int64_t num_heads,
                            const DropoutSite& site) {
  const int64_t T = qkv_T3D.size(0), D = qkv_T3D.size(1) / 3;
  const at::Tensor qkv = (qkv_T3D + bias_3D.to(qkv_T3D.scalar_type())).view({T, 3, num_heads, D / num_heads});
  if (qkv.is_cuda() && qkv.scalar_type() == at::kBFloat16) return flash_attention(qkv, layout, site).reshape({T, D});
  const at::Tensor exact = qkv.to(residual_dtype(qkv.scalar_type()));
  return exact_attention(exact, layout, site).reshape({T, D}).to(qkv.scalar_type());
}

}  // namespace cllm::device
