#include "model/nn/heads/device_attention.h"

#include <ATen/Context.h>
#include <ATen/ops/_flash_attention_backward.h>
#include <ATen/ops/_flash_attention_forward.h>

#include <mutex>
#include <optional>

#include "data/random.h"
#include "model/kernels/compute_dtype.h"
#include "model/nn/differentiable.h"
#include "model/nn/heads/exact_attention.h"

namespace cllm::device {
namespace {

/// Inputs q, k, v [.., .., h] bf16, offsets int32 [B+1].
struct FlashAttention : Differentiable {
  int64_t longest;
  GroupedHeads of;
  double rate;
  FlashAttention(int64_t longest_sequence, const GroupedHeads& heads, double dropout_rate)
      : longest(longest_sequence), of(heads), rate(dropout_rate) {}

  /// Keys before a query's own that it sees; none given: all.
  std::optional<int64_t> before() const { return of.window > 0 ? std::optional(of.window - 1) : std::nullopt; }
  /// Keys behind it.
  std::optional<int64_t> behind() const { return of.window > 0 ? std::optional<int64_t>(0) : std::nullopt; }

  Tensors forward(const Tensors& inputs, Tensors& saved) const override {
    const at::Tensor& offsets_B1 = inputs[3];
    const auto [out, lse, rng_state, unused, debug] =
        at::_flash_attention_forward(inputs[0], inputs[1], inputs[2], offsets_B1, offsets_B1, longest, longest, rate,
                                     /*is_causal=*/true, /*return_debug_mask=*/false, of.scale, before(), behind());
    saved = {inputs[0], inputs[1], inputs[2], offsets_B1, out, lse, rng_state, unused};
    return {out};
  }

  Tensors backward(const Saved& saved, const Tensors& gradients) const override {
    const Tensors& s = saved.tensors;
    const auto [dq, dk, dv] =
        at::_flash_attention_backward(gradients[0].contiguous(), s[0], s[1], s[2], s[4], s[5], s[3], s[3], longest,
                                      longest, rate, /*is_causal=*/true, s[6], s[7], of.scale, before(), behind());
    return {dq, dk, dv, {}};
  }
};

/// The flash kernel's mask as a function of the batch and the place alone, so that a resumed run draws it again.
void seed_generator(at::Device device, uint64_t seed) {
  at::Generator generator = at::globalContext().defaultGenerator(device);
  const std::scoped_lock lock(generator.mutex());
  generator.set_current_seed(seed);
}

}  // namespace

bool is_for_flash(at::ScalarType compute, int64_t head_width) {
  constexpr int64_t kWord = 8, kWidest = 256;
  return compute == at::kBFloat16 && head_width % kWord == 0 && head_width <= kWidest;
}

at::Tensor attention(const HeadTensors& of, const PackedLayout& layout, const GroupedHeads& heads,
                     const DropoutSite& site) {
  const at::ScalarType compute = of.q.scalar_type();
  if (is_for_flash(compute, heads.head_width) && layout.num_tokens() > 0) {
    if (site.active()) seed_generator(of.q.device(), mix64(layout.dropout_seed ^ site.salt));
    return apply(FlashAttention(layout.longest, heads, site.active() ? site.rate : 0.0),
                 {of.q, of.k, of.v, layout.offsets_B1})[0];
  }
  const at::ScalarType sums = residual_dtype(compute);
  return exact_attention({of.q.to(sums), of.k.to(sums), of.v.to(sums)}, layout, heads, site).to(compute);
}

}  // namespace cllm::device
