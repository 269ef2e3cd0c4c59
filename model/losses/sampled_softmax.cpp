#include "model/losses/sampled_softmax.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/diff.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/maximum.h>
#include <ATen/ops/repeat_interleave.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <optional>

#include "data/random.h"
#include "model/kernels/compute_dtype.h"
#include "model/kernels/softmax/softmax_block.h"
#include "model/nn/products.h"

namespace cllm {
namespace {

constexpr double kNoLogit = -1e30;  // of a negative that does not count; its exponential is 0, and it is no infinity
constexpr int64_t kBlockBytes = 64 << 20;  // of logits

/// Targets first, first + 1, … of a call against all negatives.
struct Block {
  int64_t first, count;
  at::Tensor of(const at::Tensor& tensor_K) const { return tensor_K.narrow(0, first, count); }
};

}  // namespace

std::vector<int32_t> draw_negatives(int64_t num_items, int64_t count, uint64_t key) {
  CounterRng random(key);
  std::vector<int32_t> items(static_cast<size_t>(num_items > 0 ? count : 0));
  for (int32_t& item : items) item = static_cast<int32_t>(random.below(static_cast<uint64_t>(num_items)));
  return items;
}

SampledResult sampled_softmax(const at::Tensor& hidden_AD, const SampledRows& rows, const Targets& targets) {
  const at::NoGradGuard no_grad;
  const at::ScalarType compute = hidden_AD.scalar_type(), sums = residual_dtype(compute);
  const int64_t K = targets.ids_K.size(0), S = rows.items_S.size(0);
  const at::Tensor position_K = at::repeat_interleave(at::diff(targets.offsets_A1), /*output_size=*/std::optional(K));
  const at::Tensor hidden_KD = hidden_AD.index_select(0, position_K), weight_K = targets.weights_K.to(sums);
  const at::Tensor negatives_SD = rows.negatives_SD.to(compute), targets_KD = rows.targets_KD.to(compute);
  const at::Tensor logit_K = (hidden_KD.to(sums) * targets_KD.to(sums)).sum(1);

  const auto options = hidden_AD.options().dtype(sums);
  at::Tensor loss = at::zeros({}, options.dtype(at::kDouble)),
             slope_K = at::empty({K}, options);  // d loss / d target logit
  at::Tensor hidden_gradient_KD = at::empty({K, hidden_AD.size(1)}, options);
  at::Tensor negative_gradient_SD = at::zeros(negatives_SD.sizes(), options);
  const int64_t per_block =
      std::max<int64_t>(64, kBlockBytes / std::max<int64_t>(1, S * static_cast<int64_t>(options.dtype().itemsize())));
  for (Block b{0, 0}; b.first < K; b.first += b.count) {
    b.count = std::min(per_block, K - b.first);
    at::Tensor block_bS = product(b.of(hidden_KD), negatives_SD.t()).to(sums).sub_(rows.log_expected);
    block_bS.masked_fill_(b.of(targets.ids_K).unsqueeze(1) == rows.items_S.unsqueeze(0), kNoLogit);
    const at::Tensor maximum_b = at::empty({b.count}, options), sum_b = at::empty({b.count}, options),
                     logit_b = b.of(logit_K);
    kernels::exp_rows(block_bS, maximum_b, sum_b);
    const at::Tensor top_b = at::maximum(maximum_b, logit_b);
    const at::Tensor normaliser_b = top_b + (sum_b * (maximum_b - top_b).exp() + (logit_b - top_b).exp()).log();
    loss += (b.of(weight_K) * (normaliser_b - logit_b)).sum(at::kDouble);
    b.of(slope_K).copy_(b.of(weight_K) * ((logit_b - normaliser_b).exp() - 1));
    const at::Tensor share_b1 = (b.of(weight_K) * (maximum_b - normaliser_b).exp()).unsqueeze(1);
    const at::Tensor p_bS = (block_bS * share_b1).to(compute);
    b.of(hidden_gradient_KD).copy_(product(p_bS, negatives_SD));
    add_product(negative_gradient_SD, p_bS.t(), b.of(hidden_KD));
  }
  hidden_gradient_KD.add_(targets_KD.to(sums) * slope_K.unsqueeze(1));
  at::Tensor hidden_gradient_AD = at::zeros(hidden_AD.sizes(), options);
  kernels::add_rows(hidden_gradient_AD, position_K, hidden_gradient_KD);
  const at::ScalarType table = rows.negatives_SD.scalar_type();
  return {loss.item<double>(), hidden_gradient_AD.to(compute), negative_gradient_SD.to(table),
          (hidden_KD.to(sums) * slope_K.unsqueeze(1)).to(table)};
}

}  // namespace cllm
