#include "model/evaluation/device_scores.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/bitwise_and.h>
#include <ATen/ops/bitwise_left_shift.h>
#include <ATen/ops/bitwise_right_shift.h>
#include <ATen/ops/bitwise_xor.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/topk.h>
#include <ATen/ops/where.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "dist/device/device.h"

namespace cllm::device {
namespace {

constexpr int64_t kBlockItems = 1 << 15;
constexpr int64_t kLow = 0xFFFFFFFF;       // the item's half of a key
constexpr int64_t kNoScore = -0x7F800001;  // the score's half for -infinity
constexpr float kNever = -std::numeric_limits<float>::infinity();

/// One int64 per score whose order is that of rankings: the score's bits, ordered as whole numbers, above the item,
/// lower first.
at::Tensor keys_of(const at::Tensor& scores_bn, int64_t first) {
  const at::Tensor bits = scores_bn.view(at::kInt);
  const at::Tensor ordered = at::where(bits < 0, at::bitwise_xor(bits, 0x7FFFFFFF), bits).to(at::kLong);
  const at::Tensor items_n = at::arange(first, first + scores_bn.size(1), ordered.options());
  return at::bitwise_left_shift(ordered, 32) + (kLow - items_n);
}

/// Places in a block [b, n] of items first .. first + n - 1 that are masked.
std::vector<int64_t> masked_places(int64_t b, const MaskedItems& masked, int64_t first, int64_t n) {
  std::vector<int64_t> places;
  for (int64_t user = 0; user < b; ++user) {
    const auto items = masked(user);
    for (auto item = std::lower_bound(items.begin(), items.end(), first); item != items.end() && *item < first + n;
         ++item) {
      places.push_back(user * n + *item - first);
    }
  }
  return places;
}

/// Row by row a . b in fp64: halves are added until one column is left.
at::Tensor folded_dot(const at::Tensor& a_nD, const at::Tensor& b_nD) {
  at::Tensor sum = a_nD.to(at::kDouble) * b_nD.to(at::kDouble);
  while (sum.size(1) > 1) {
    const int64_t half = sum.size(1) / 2;
    const at::Tensor folded = sum.narrow(1, 0, half) + sum.narrow(1, half, half);
    sum = sum.size(1) % 2 == 0 ? folded : at::cat({folded, sum.narrow(1, 2 * half, 1)}, 1);
  }
  return sum.squeeze(1);
}

}  // namespace

Candidates best_items(const at::Tensor& hidden_bD, const at::Tensor& items_JD, int64_t first_item,
                      const MaskedItems& masked, int64_t count) {
  const int64_t b = hidden_bD.size(0), J = items_JD.size(0), D = items_JD.size(1), C = std::min(count, J);
  if (b == 0 || C == 0) return {at::empty({b, C}, at::kLong), at::empty({b, C}, at::kDouble)};
  at::Tensor best_bC;
  for (int64_t j = 0; j < J; j += kBlockItems) {
    const int64_t n = std::min(kBlockItems, J - j);
    at::Tensor scores_bn = at::mm(hidden_bD, items_JD.narrow(0, j, n).t()).to(at::kFloat);
    scores_bn.masked_fill_(scores_bn.isnan(), kNever);
    const at::Tensor places = at::tensor(masked_places(b, masked, first_item + j, n), at::kLong);
    scores_bn.view({-1}).index_fill_(0, upload(places, scores_bn.device()), kNever);
    const at::Tensor keys_bn = keys_of(scores_bn, first_item + j);
    const at::Tensor all = best_bC.defined() ? at::cat({best_bC, keys_bn}, 1) : keys_bn;
    best_bC = std::get<0>(at::topk(all, std::min(C, all.size(1)), 1));
  }
  const at::Tensor found_bC = kLow - at::bitwise_and(best_bC, kLow);
  const at::Tensor rows_nD = items_JD.index_select(0, (found_bC - first_item).view({-1}));
  const at::Tensor hidden_nD = hidden_bD.unsqueeze(1).expand({b, C, D}).reshape({b * C, D});
  const at::Tensor items_bC =
      at::where(at::bitwise_right_shift(best_bC, 32) == kNoScore, at::full_like(found_bC, -1), found_bC);
  return {items_bC.cpu(), folded_dot(hidden_nD, rows_nD).view({b, C}).cpu()};
}

}  // namespace cllm::device
