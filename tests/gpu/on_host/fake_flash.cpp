// libtorch's flash attention for packed sequences, which it has for GPUs only, on the fake device: what it asks of its
// callers there, and its results in fp32 by the formula. Only causal masks.

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros_like.h>
#include <torch/library.h>

#include <cmath>

namespace on_host {
namespace {

using OptionalTensor = std::optional<at::Tensor>;
constexpr auto kFake = c10::DeviceType::PrivateUse1;

/// One call, in fp32 on the CPU. B sequences, T tokens, H query heads, K key heads, h head width, n tokens of one
/// sequence.
struct Flash {
  at::Tensor q, k, v;  // [T, H, h], [T, K, h]
  at::Tensor offsets;  // int32 [B + 1]
  double scale, rate;
  int64_t before;  // keys before a query's own that it sees; -1: all
  int64_t seed;    // of the dropout mask

  /// f(first token, tokens, mask of the probabilities) for every sequence.
  template <typename F>
  void for_each_sequence(F f) const {
    at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(static_cast<uint64_t>(seed));
    const int32_t* offset = offsets.const_data_ptr<int32_t>();
    for (int64_t b = 0; b + 1 < offsets.size(0); ++b) {
      const int64_t n = offset[b + 1] - offset[b];
      at::Tensor mask = at::empty({q.size(1), n, n}).fill_(1);
      if (rate > 0) mask = mask.bernoulli_(1 - rate, generator) / (1 - rate);
      if (n > 0) f(offset[b], n, mask);
    }
  }
  /// Heads of a sequence's tokens [H, n, h], keys repeated.
  at::Tensor heads(const at::Tensor& x, int64_t first, int64_t n) const {
    const at::Tensor own = x.narrow(0, first, n).transpose(0, 1);
    return own.repeat_interleave(q.size(1) / own.size(0), 0);
  }
  at::Tensor scores(int64_t first, int64_t n) const {
    const at::Tensor place = at::arange(n), behind = place.unsqueeze(1) - place.unsqueeze(0);
    at::Tensor hidden = behind.lt(0);
    if (before >= 0) hidden = hidden.logical_or(behind.gt(before));
    return (at::bmm(heads(q, first, n), heads(k, first, n).transpose(1, 2)) * scale).masked_fill(hidden, -INFINITY);
  }
};

void check_heads(const at::Tensor& x, const at::Tensor& q) {
  TORCH_CHECK(x.device().type() == kFake, "flash attention's tensors must be on the device, found ", x.device());
  TORCH_CHECK(x.scalar_type() == at::kBFloat16, "flash attention is of 16-bit numbers, found ", x.scalar_type());
  TORCH_CHECK(x.dim() == 3 && x.stride(2) == 1, "a head's numbers must be beside each other");
  TORCH_CHECK(x.size(0) == q.size(0) && x.size(2) == q.size(2), "keys ", x.sizes(), " beside queries ", q.sizes());
  TORCH_CHECK(x.size(2) % 8 == 0 && x.size(2) <= 256 && q.size(1) % x.size(1) == 0, "heads ", x.sizes());
}

Flash call_of(const std::array<at::Tensor, 3>& qkv, const at::Tensor& offsets, int64_t longest,
              std::optional<double> scale, std::pair<std::optional<int64_t>, std::optional<int64_t>> window) {
  for (const at::Tensor& x : qkv) check_heads(x, qkv[0]);
  TORCH_CHECK(offsets.device().type() == kFake && offsets.scalar_type() == at::kInt && offsets.is_contiguous() &&
                  offsets.size(0) > 1,
              "offsets must be int32 of one sequence or more, on the device");
  const at::Tensor host = offsets.cpu();
  TORCH_CHECK(host.diff().max().item<int>() <= longest, "a sequence is longer than the longest");
  TORCH_CHECK(host[-1].item<int>() <= qkv[0].size(0), "the last sequence ends behind the last token");
  TORCH_CHECK(window.second.value_or(0) <= 0, "a causal mask hides the keys behind a query");
  const auto on_cpu = [](const at::Tensor& x) { return x.cpu().to(at::kFloat); };
  return {on_cpu(qkv[0]),
          on_cpu(qkv[1]),
          on_cpu(qkv[2]),
          host,
          scale.value_or(1 / std::sqrt(static_cast<double>(qkv[0].size(2)))),
          0,
          window.first.value_or(-1),
          0};
}

/// The tensors behind the result: log of the sums of exponentials [H, T], the dropout mask's seed, and two of no use
/// here.
std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor, at::Tensor> flash_forward(
    const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const OptionalTensor& offsets,
    const OptionalTensor& offsets_k, int64_t longest, int64_t longest_k, double rate, bool causal, bool debug,
    std::optional<double> scale, std::optional<int64_t> left, std::optional<int64_t> right, const OptionalTensor& used,
    const OptionalTensor& slopes) {
  TORCH_CHECK(offsets && offsets_k && offsets->is_same(*offsets_k) && longest == longest_k && causal && !debug &&
                  !used && !slopes,
              "the fake device has causal flash attention of packed sequences only");
  Flash call = call_of({q, k, v}, *offsets, longest, scale, {left, right});
  call.rate = rate;
  if (rate > 0) {
    at::Generator generator = at::globalContext().defaultGenerator(q.device());
    const std::scoped_lock lock(generator.mutex());
    call.seed = static_cast<int64_t>(at::check_generator<at::CPUGeneratorImpl>(generator)->random64() >> 1);
  }
  at::Tensor out = at::zeros_like(call.q), lse = at::empty({q.size(1), q.size(0)}).fill_(INFINITY);
  call.for_each_sequence([&](int64_t first, int64_t n, const at::Tensor& mask) {
    const at::Tensor scores = call.scores(first, n), of_rows = at::logsumexp(scores, {2}, /*keepdim=*/true);
    const at::Tensor p = (scores - of_rows).exp();
    out.narrow(0, first, n).copy_(at::bmm(p * mask, call.heads(call.v, first, n)).transpose(0, 1));
    lse.narrow(1, first, n).copy_(of_rows.squeeze(2));
  });
  const at::Tensor none = at::empty({0}, q.options());
  return {out.to(q.scalar_type()).to(q.device()), lse.to(q.device()), at::tensor({call.seed}).to(q.device()), none,
          none};
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> flash_backward(
    const at::Tensor& grad_out, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& out,
    const at::Tensor& lse, const at::Tensor& offsets, const at::Tensor& offsets_k, int64_t longest, int64_t longest_k,
    double rate, bool causal, const at::Tensor& seed, const at::Tensor&, std::optional<double> scale,
    std::optional<int64_t> left, std::optional<int64_t> right) {
  TORCH_CHECK(offsets.is_same(offsets_k) && longest == longest_k && causal && out.sizes() == q.sizes() &&
                  grad_out.sizes() == q.sizes() && grad_out.scalar_type() == q.scalar_type(),
              "not the tensors of a call of forward");
  Flash call = call_of({q, k, v}, offsets, longest, scale, {left, right});
  call.rate = rate;
  call.seed = seed.cpu().item<int64_t>();
  const at::Tensor gradient = grad_out.cpu().to(at::kFloat), sums = lse.cpu();
  at::Tensor dq = at::zeros_like(call.q), dk = at::zeros_like(call.k), dv = at::zeros_like(call.v);
  call.for_each_sequence([&](int64_t first, int64_t n, const at::Tensor& mask) {
    const at::Tensor p = (call.scores(first, n) - sums.narrow(1, first, n).unsqueeze(2)).exp();
    const at::Tensor d_out = call.heads(gradient, first, n),
                     d_p = at::bmm(d_out, call.heads(call.v, first, n).transpose(1, 2)) * mask;
    const at::Tensor d_scores = p * (d_p - (d_p * p).sum(2, true)) * call.scale;
    const auto put = [&](at::Tensor& to, const at::Tensor& of_heads) {  // summed over the queries of a key head
      const at::Tensor own = of_heads.reshape({to.size(1), -1, n, to.size(2)}).sum(1);
      to.narrow(0, first, n).copy_(own.transpose(0, 1));
    };
    put(dq, at::bmm(d_scores, call.heads(call.k, first, n)));
    put(dk, at::bmm(d_scores.transpose(1, 2), call.heads(call.q, first, n)));
    put(dv, at::bmm((p * mask).transpose(1, 2), d_out));
  });
  const auto there = [&](const at::Tensor& x) { return x.to(q.scalar_type()).to(q.device()); };
  return {there(dq), there(dk), there(dv)};
}

}  // namespace
}  // namespace on_host

TORCH_LIBRARY_IMPL(aten, PrivateUse1, library) {
  library.impl("_flash_attention_forward", on_host::flash_forward);
  library.impl("_flash_attention_backward", on_host::flash_backward);
}
