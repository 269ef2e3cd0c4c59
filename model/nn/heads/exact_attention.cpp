#include "model/nn/heads/exact_attention.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <cmath>

#include "dist/device/device.h"
#include "model/kernels/elementwise/cuda.h"
#include "model/nn/differentiable.h"

// Letters as in device_attention.h; B sequences side by side, n tokens of each, G = H / K.

namespace cllm::device {
namespace {

/// Some sequences side by side, each filled up to n tokens by the first token of all, which no token before the fillers
/// sees.
struct Sequences {
  int64_t count, n, num_tokens;  // B, n, tokens without fillers
  at::Tensor token_of_slot;      // int64 [B n], counted from the first token of the first sequence
  at::Tensor slot_of_token;      // int64 [tokens]
  at::Tensor real_of_slot;       // [B n, 1, 1]: 1, or 0 for fillers
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
  out.real_of_slot =
      upload(at::tensor(real_of_slot, at::kFloat).view({-1, 1, 1}), options.device()).to(options.dtype());
  return out;
}

/// Inputs q, k, v.
struct ExactAttention : Differentiable {
  PackedLayout layout;
  GroupedHeads of;
  DropoutSite site;
  ExactAttention(PackedLayout of_batch, const GroupedHeads& heads, DropoutSite of_layer)
      : layout(std::move(of_batch)), of(heads), site(std::move(of_layer)) {}

  /// Of some sequences: queries [B, K, G n, h] (the first query head's tokens, then the next one's), keys and values
  /// [B, K, n, h], and of the scores [B, K, G n, n] the softmax and its mask (undefined: no dropout).
  struct Scores {
    at::Tensor q, k, v, p, mask;
    at::Tensor dropped() const { return mask.defined() ? p * mask : p; }
  };

  Tensors forward(const Tensors& inputs, Tensors& saved) const override {
    saved = inputs;
    Tensors parts;
    for_each_part(inputs, [&](const Sequences& part, const Scores& s, int64_t) {
      parts.push_back(tokens_of(at::matmul(s.dropped(), s.v), part));
    });
    return {parts.empty() ? at::empty(inputs[0].sizes(), inputs[0].options()) : at::cat(parts)};
  }

  Tensors backward(const Saved& saved, const Tensors& gradients) const override {
    Tensors to_q, to_k, to_v;
    for_each_part(saved.tensors, [&](const Sequences& part, const Scores& s, int64_t begin) {
      const at::Tensor of_part = gradients[0].narrow(0, begin, part.num_tokens);
      const at::Tensor d_out = side_by_side_heads(of_part, part, /*fillers=*/false);
      at::Tensor d_p = at::matmul(d_out, s.v.transpose(2, 3));
      if (s.mask.defined()) d_p = d_p * s.mask;
      const at::Tensor d_scores = s.p * (d_p - (d_p * s.p).sum(3, /*keepdim=*/true)) * of.scale;
      to_q.push_back(tokens_of(at::matmul(d_scores, s.k), part));
      to_k.push_back(tokens_of(at::matmul(d_scores.transpose(2, 3), s.q), part));
      to_v.push_back(tokens_of(at::matmul(s.dropped().transpose(2, 3), d_out), part));
    });
    const auto whole = [&](const Tensors& parts, const at::Tensor& like) {
      return parts.empty() ? at::empty(like.sizes(), like.options()) : at::cat(parts);
    };
    const Tensors& s = saved.tensors;
    return {whole(to_q, s[0]), whole(to_k, s[1]), whole(to_v, s[2])};
  }

 private:
  /// Tokens of a part [.., heads, h] -> [B, K, heads / K n, h].
  at::Tensor side_by_side_heads(const at::Tensor& x, const Sequences& part, bool fillers = true) const {
    const int64_t group = x.size(1) / of.num_kv_heads;
    at::Tensor slots = x.index_select(0, part.token_of_slot);
    if (!fillers) slots = slots * part.real_of_slot;
    return slots.view({part.count, part.n, of.num_kv_heads, group, of.head_width})
        .permute({0, 2, 3, 1, 4})
        .reshape({part.count, of.num_kv_heads, group * part.n, of.head_width});
  }

  /// The way back.
  at::Tensor tokens_of(const at::Tensor& heads, const Sequences& part) const {
    const int64_t group = heads.size(2) / part.n;
    return heads.view({part.count, of.num_kv_heads, group, part.n, of.head_width})
        .permute({0, 3, 1, 2, 4})
        .reshape({part.count * part.n, of.num_kv_heads * group, of.head_width})
        .index_select(0, part.slot_of_token);
  }

  template <typename Work>
  void for_each_part(const Tensors& qkv, const Work& work) const {
    int64_t begin = 0;
    for (int64_t b = 0; b < layout.num_sequences();) {
      const Sequences part = side_by_side(layout, b, of.num_heads, qkv[0].options());
      if (part.num_tokens > 0) work(part, scores_of(qkv, part, begin), begin);
      begin += part.num_tokens;
      b += part.count;
    }
  }

  Scores scores_of(const Tensors& qkv, const Sequences& part, int64_t begin) const {
    const auto heads = [&](const at::Tensor& x) {
      return side_by_side_heads(x.narrow(0, begin, part.num_tokens), part);
    };
    Scores out{heads(qkv[0]), heads(qkv[1]), heads(qkv[2]), {}, {}};
    const at::Tensor ones = at::ones({part.n, part.n}, qkv[0].options().dtype(at::kBool));
    at::Tensor hidden = ones.triu(1);
    if (of.window > 0) hidden = hidden.logical_or(ones.tril(-of.window));
    hidden = hidden.expand({of.num_heads / of.num_kv_heads, part.n, part.n}).reshape({-1, part.n});
    const at::Tensor scores = at::matmul(out.q, out.k.transpose(2, 3)) * of.scale;
    out.p = at::softmax(scores.masked_fill(hidden, -INFINITY), -1);
    if (site.active()) out.mask = mask_of(part, begin, qkv[0].options()).reshape(out.p.sizes());
    return out;
  }

  /// 1 / (1 - rate) where the site keeps a score, 0 elsewhere: [B, H, n, n].
  at::Tensor mask_of(const Sequences& part, int64_t begin, const at::TensorOptions& options) const {
    constexpr int64_t kWord = 8;
    const at::Tensor ones = at::ones({part.count * part.n, (part.n + kWord - 1) / kWord * kWord}, options);
    const at::Tensor keys = site.keys_T.narrow(0, begin, part.num_tokens).index_select(0, part.token_of_slot);
    Tensors heads;
    for (int64_t h = 0; h < of.num_heads; ++h) {
      heads.push_back(kernels::cuda::dropout(ones, keys, site.rate, site.salt, h).narrow(1, 0, part.n));
    }
    return at::stack(heads).view({of.num_heads, part.count, part.n, part.n}).transpose(0, 1);
  }
};

}  // namespace

at::Tensor exact_attention(const HeadTensors& of, const PackedLayout& layout, const GroupedHeads& heads,
                           const DropoutSite& site) {
  return apply(ExactAttention(layout, heads, site), {of.q, of.k, of.v})[0];
}

}  // namespace cllm::device
