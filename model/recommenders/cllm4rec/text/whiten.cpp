#include "model/recommenders/cllm4rec/text/whiten.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/linalg_eigh.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

#include "data/random.h"

namespace cllm {
namespace {

at::Tensor rows_with_text(const at::Tensor& vectors_Vk) { return vectors_Vk.abs().sum(1).nonzero().squeeze(1); }

}  // namespace

Whitening Whitening::of(const at::Tensor& raw_Vk, int64_t dims) {
  constexpr double kLeastVariance = 1e-9;  // of the largest
  const int64_t k = raw_Vk.size(1), most = std::min(dims, k);
  Whitening out{at::zeros({k}, at::kDouble), at::zeros({k, dims}, at::kDouble)};
  const at::Tensor rows_M = rows_with_text(raw_Vk);
  const int64_t M = rows_M.size(0);
  if (M < 2) return out;
  at::Tensor x_Mk = raw_Vk.index_select(0, rows_M);
  out.mean_k = x_Mk.mean(0);
  x_Mk = x_Mk - out.mean_k;
  const auto [variance_k, directions_kk] = at::linalg_eigh(at::mm(x_Mk.t(), x_Mk) / static_cast<double>(M));
  const at::Tensor variance_d = variance_k.narrow(0, k - most, most).flip(0);
  const double least = kLeastVariance * std::max(variance_d[0].item<double>(), 1e-300);
  const at::Tensor scale_d =
      (variance_d.clamp_min(least) * static_cast<double>(dims)).rsqrt().masked_fill(variance_d < least, 0);
  out.turn_kd.narrow(1, 0, most).copy_(directions_kk.narrow(1, k - most, most).flip(1) * scale_d);
  return out;
}

at::Tensor Whitening::apply(const at::Tensor& raw_Vk) const {
  at::Tensor out = at::zeros({raw_Vk.size(0), turn_kd.size(1)}, at::kDouble);
  const at::Tensor rows_M = rows_with_text(raw_Vk);
  out.index_copy_(0, rows_M, at::mm(raw_Vk.index_select(0, rows_M) - mean_k, turn_kd));
  return out;
}

at::Tensor shuffled_rows(const at::Tensor& vectors_Vd, int64_t first, int64_t last, uint64_t key) {
  const at::Tensor rows_M = rows_with_text(vectors_Vd.narrow(0, first, last - first)) + first;
  std::vector<int64_t> order(rows_M.const_data_ptr<int64_t>(), rows_M.const_data_ptr<int64_t>() + rows_M.numel());
  CounterRng random(key);
  random.shuffle(std::span(order));
  return vectors_Vd.clone().index_copy_(0, rows_M, vectors_Vd.index_select(0, at::tensor(order, at::kLong)));
}

}  // namespace cllm
