#include "model/nn/heads/grouped_attention.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/repeat_interleave.h>
#include <ATen/ops/softmax.h>

#include <cmath>

#include "tests/model/nn/fused/fused_support.h"

namespace cllm::grouped_attention_tests {
namespace {

using testing::normal, testing::Tensors;

const std::vector<int64_t> kLengths{1, 7, 70, 3};  // within a block of queries, and over several
constexpr int64_t kTokens = 81, kWidth = 8;

/// Sequence by sequence, with repeated keys and the whole matrix of scores.
at::Tensor by_formula(const Tensors& qkv, const GroupedHeads& of) {
  std::vector<at::Tensor> parts;
  int64_t first = 0;
  for (const int64_t n : kLengths) {
    const auto heads = [&](const at::Tensor& x, int64_t count) {
      const at::Tensor own = x.narrow(0, first, n).view({n, count, kWidth}).transpose(0, 1);
      return at::repeat_interleave(own, of.num_heads / count, 0);
    };
    const at::Tensor place = at::arange(n, at::kLong), behind = place.unsqueeze(1) - place.unsqueeze(0);
    at::Tensor hidden = behind.lt(0);
    if (of.window > 0) hidden = hidden.logical_or(behind.ge(of.window));
    const at::Tensor scores =
        at::matmul(heads(qkv[0], of.num_heads), heads(qkv[1], of.num_kv_heads).transpose(1, 2)) * of.scale;
    const at::Tensor seen = at::softmax(scores.masked_fill(hidden, -INFINITY), -1);
    parts.push_back(at::matmul(seen, heads(qkv[2], of.num_kv_heads)).transpose(0, 1).reshape({n, -1}));
    first += n;
  }
  return at::cat(parts);
}

void check(const GroupedHeads& of) {
  const PackedLayout layout = make_layout(kLengths, at::kCPU);
  const int64_t Q = of.num_heads * kWidth, K = of.num_kv_heads * kWidth;
  const Tensors qkv{normal({kTokens, Q}, 1), normal({kTokens, K}, 2), normal({kTokens, K}, 3)};
  const auto fused = [&](const Tensors& in) -> Tensors { return {grouped_attention(in[0], in[1], in[2], layout, of)}; };
  const auto reference = [&](const Tensors& in) -> Tensors { return {by_formula(in, of)}; };
  testing::expect_same(fused, reference, qkv, at::kDouble, 1e-13);
  testing::expect_same(fused, reference, qkv, at::kFloat, 1e-5);
  testing::expect_same(fused, reference, qkv, at::kBFloat16, 0x1p-6);
}

TEST(GroupedAttention, IsTheFormulaAndItsGradientsForEveryGroupingAndWindow) {
  for (const auto& [heads, kv_heads] : {std::pair{4, 1}, {4, 2}, {3, 3}, {64, 1}}) {
    for (const int64_t window : {0, 1, 5, 500}) check({heads, kv_heads, kWidth, 0.4, window});
  }
}

}  // namespace
}  // namespace cllm::grouped_attention_tests
