#include "model/nn/device_attention.h"

#include <ATen/Context.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/_flash_attention_backward.h>
#include <ATen/ops/_flash_attention_forward.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <cmath>

#include "data/random.h"
#include "dist/device/device.h"
#include "model/kernels/compute_dtype.h"
#include "model/kernels/elementwise/cuda.h"
#include "model/nn/differentiable.h"

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
    const auto [dq, dk, dv] = at::_flash_attention_backward(
        gradients[0].contiguous(), qkv.select(1, 0), qkv.select(1, 1), qkv.select(1, 2), s[2], s[3], offsets_B1,
        offsets_B1, longest, longest, rate, /*is_causal=*/true, s[4], s[5]);
    return {at::stack({dq, dk, dv}, 1), {}};
  }
};

/// Some sequences side by side, each filled up to n tokens by the first token of all, which no token before the fillers
/// sees.
struct Sequences {
  int64_t count, n, num_tokens;  // B, n, tokens without fillers
  at::Tensor token_of_slot;      // int64 [B n], counted from the first token of the first sequence
  at::Tensor slot_of_token;      // int64 [tokens]
  at::Tensor real_of_slot;       // [B n, 1]: 1, or 0 for fillers
};

/// Sequences of the layout from `first` on, as many as have at most kMostScores scores, but at least one.
Sequences side_by_side(const PackedLayout& layout, int64_t first, int64_t num_heads, const at::TensorOptions& options) {
  constexpr int64_t kMostScores = int64_t{1} << 26;
  const auto begin_of = [&](int64_t b) { return layout.offsets[static_cast<size_t>(b)]; };
  Sequences out{0, 0, 0, {}, {}, {}};
  for (int64_t b = first; b < layout.num_sequences(); ++b) {
    const int64_t n = std::max(out.n, begin_of(b + 1) - begin_of(b));
    if (out.count > 0 && (out.count + 1) * num_heads * n * n > kMostScores) break;
    out.n = n;
    ++out.count;
  }
  std::vector<int64_t> token_of_slot, slot_of_token;
  std::vector<float> real_of_slot;
  for (int64_t b = 0; b < out.count; ++b) {
    const int64_t begin = begin_of(first + b) - begin_of(first), length = begin_of(first + b + 1) - begin_of(first + b);
    for (int64_t t = 0; t < out.n; ++t) {
      token_of_slot.push_back(t < length ? begin + t : 0);
      real_of_slot.push_back(t < length ? 1.0F : 0.0F);
      if (t < length) slot_of_token.push_back(b * out.n + t);
    }
  }
  out.num_tokens = static_cast<int64_t>(slot_of_token.size());
  out.token_of_slot = upload(at::tensor(token_of_slot, at::kLong), options.device());
  out.slot_of_token = upload(at::tensor(slot_of_token, at::kLong), options.device());
  out.real_of_slot = upload(at::tensor(real_of_slot, at::kFloat).unsqueeze(1), options.device()).to(options.dtype());
  return out;
}

/// Attention with the whole matrix of scores of some sequences at a time, which backward computes again.
struct ExactAttention : Differentiable {
  PackedLayout layout;
  DropoutSite site;
  ExactAttention(PackedLayout of_batch, DropoutSite of_layer)
      : layout(std::move(of_batch)), site(std::move(of_layer)) {}

  /// [3, B, H, n, E] queries, keys and values, and of the scores [B, H, n, n] the softmax and its mask (undefined: no
  /// dropout).
  struct Scores {
    at::Tensor qkv, p, mask;
  };

  /// qkv [T, 3, H, E] fp32 or fp64 -> [T, H, E].
  Tensors forward(const Tensors& inputs, Tensors& saved) const override {
    const at::Tensor& qkv = inputs[0];
    saved = {qkv};
    Tensors parts;
    for_each_part(qkv, [&](const Sequences& part, const Scores& s) {
      const at::Tensor out = at::matmul(s.mask.defined() ? s.p * s.mask : s.p, s.qkv[2]);  // [B, H, n, E]
      parts.push_back(
          tokens(out.transpose(1, 2).reshape({part.count * part.n, -1}), part).view({-1, qkv.size(2), qkv.size(3)}));
    });
    return {at::cat(parts)};
  }

  Tensors backward(const Saved& saved, const Tensors& gradients) const override {
    const at::Tensor &qkv = saved.tensors[0], gradient = gradients[0].contiguous();
    const int64_t H = qkv.size(2), E = qkv.size(3);
    const double scale = 1 / std::sqrt(static_cast<double>(E));
    Tensors parts;
    int64_t begin = 0;
    for_each_part(qkv, [&](const Sequences& part, const Scores& s) {
      const at::Tensor of_part = gradient.narrow(0, begin, part.num_tokens).view({-1, H * E});
      const at::Tensor d_out = (of_part.index_select(0, part.token_of_slot) * part.real_of_slot)
                                   .view({part.count, part.n, H, E})
                                   .transpose(1, 2);  // [B, H, n, E]
      const at::Tensor d_v = at::matmul((s.mask.defined() ? s.p * s.mask : s.p).transpose(2, 3), d_out);
      at::Tensor d_p = at::matmul(d_out, s.qkv[2].transpose(2, 3));
      if (s.mask.defined()) d_p = d_p * s.mask;
      const at::Tensor d_scores = s.p * (d_p - (d_p * s.p).sum(3, /*keepdim=*/true)) * scale;
      const at::Tensor d_q = at::matmul(d_scores, s.qkv[1]), d_k = at::matmul(d_scores.transpose(2, 3), s.qkv[0]);
      const at::Tensor d_qkv = at::stack({d_q, d_k, d_v}).permute({1, 3, 0, 2, 4});  // [B, n, 3, H, E]
      parts.push_back(tokens(d_qkv.reshape({part.count * part.n, -1}), part).view({-1, 3, H, E}));
      begin += part.num_tokens;
    });
    return {at::cat(parts)};
  }

 private:
  static at::Tensor tokens(const at::Tensor& slots, const Sequences& part) {
    return slots.index_select(0, part.slot_of_token);
  }

  template <typename Work>
  void for_each_part(const at::Tensor& qkv, const Work& work) const {
    int64_t begin = 0;
    for (int64_t b = 0; b < layout.num_sequences();) {
      const Sequences part = side_by_side(layout, b, qkv.size(2), qkv.options());
      if (part.num_tokens > 0) work(part, scores_of(qkv.narrow(0, begin, part.num_tokens), part, begin));
      begin += part.num_tokens;
      b += part.count;
    }
  }

  Scores scores_of(const at::Tensor& qkv, const Sequences& part, int64_t begin) const {
    const int64_t H = qkv.size(2), E = qkv.size(3);
    Scores out;
    out.qkv = qkv.index_select(0, part.token_of_slot).view({part.count, part.n, 3, H, E}).permute({2, 0, 3, 1, 4});
    const at::Tensor hidden = at::ones({part.n, part.n}, qkv.options().dtype(at::kBool)).triu(1);
    const at::Tensor scores =
        at::matmul(out.qkv[0], out.qkv[1].transpose(2, 3)) * (1 / std::sqrt(static_cast<double>(E)));
    out.p = at::softmax(scores.masked_fill(hidden, -INFINITY), -1);
    if (site.active()) out.mask = mask_of(part, begin, H, qkv.options());
    return out;
  }

  /// 1 / (1 - rate) where the site keeps a score, 0 elsewhere: [B, H, n, n].
  at::Tensor mask_of(const Sequences& part, int64_t begin, int64_t num_heads, const at::TensorOptions& options) const {
    constexpr int64_t kWord = 8;
    const at::Tensor ones = at::ones({part.count * part.n, (part.n + kWord - 1) / kWord * kWord}, options);
    const at::Tensor keys = site.keys_T.narrow(0, begin, part.num_tokens).index_select(0, part.token_of_slot);
    Tensors heads;
    for (int64_t h = 0; h < num_heads; ++h) {
      heads.push_back(kernels::cuda::dropout(ones, keys, site.rate, site.salt, h).narrow(1, 0, part.n));
    }
    return at::stack(heads).view({num_heads, part.count, part.n, part.n}).transpose(0, 1);
  }
};

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

bool is_for_flash(at::ScalarType compute, int64_t head_width) {
  constexpr int64_t kWord = 8, kWidest = 256;
  return compute == at::kBFloat16 && head_width % kWord == 0 && head_width <= kWidest;
}

at::Tensor causal_attention(const at::Tensor& qkv_T3D, const at::Tensor& bias_3D, const PackedLayout& layout,
                            int64_t num_heads, const DropoutSite& site) {
  const int64_t T = qkv_T3D.size(0), D = qkv_T3D.size(1) / 3;
  const at::Tensor qkv = (bias_3D.defined() ? qkv_T3D + bias_3D.to(qkv_T3D.scalar_type()) : qkv_T3D)
                             .view({T, 3, num_heads, D / num_heads});
  if (qkv.is_cuda() && is_for_flash(qkv.scalar_type(), qkv.size(3)))
    return flash_attention(qkv, layout, site).reshape({T, D});
  const at::Tensor exact = qkv.to(residual_dtype(qkv.scalar_type()));
  return apply(ExactAttention(layout, site), {exact})[0].reshape({T, D}).to(qkv.scalar_type());
}

}  // namespace cllm::device
