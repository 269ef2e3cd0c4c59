#include "model/losses/blocked_softmax.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/diff.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/logaddexp.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/repeat_interleave.h>
#include <ATen/ops/zeros.h>

#include <cmath>

#include "model/kernels/compute_dtype.h"
#include "model/kernels/softmax/softmax_block.h"
#include "model/nn/products.h"

namespace cllm {
namespace {

/// The head in the compute dtype. cuBLAS is slow on bf16 matrices whose rows are not whole 16-byte words: on a GPU the
/// head gets rows of zeros up to a multiple of kWord.
constexpr int64_t kWord = 8;
at::Tensor padded(const at::Tensor& head_VD, at::ScalarType compute) {
  const int64_t V = head_VD.size(0), missing = head_VD.is_cpu() ? 0 : (kWord - V % kWord) % kWord;
  if (missing == 0) return head_VD.to(compute);
  at::Tensor out = at::empty({V + missing, head_VD.size(1)}, head_VD.options().dtype(compute));
  out.narrow(0, 0, V).copy_(head_VD);
  out.narrow(0, V, missing).zero_();
  return out;
}

}  // namespace

FlatTargets flatten(const Targets& targets) {
  const at::Tensor counts_A = at::diff(targets.offsets_A1);
  return {at::repeat_interleave(counts_A, /*output_size=*/std::optional(targets.ids_K.size(0))), targets.ids_K,
          targets.weights_K};
}

at::Tensor weight_of_positions(const FlatTargets& targets, int64_t A) {
  return at::zeros({A}, targets.weight_K.options()).index_add_(0, targets.position_K, targets.weight_K);
}

at::Tensor ExpBlock::log_sum() const { return maximum_b.to(at::kDouble) + sum_b.to(at::kDouble).log(); }

at::Tensor ExpBlock::scale(const at::Tensor& weight_b, const at::Tensor& normaliser_b) const {
  return weight_b * (maximum_b.to(at::kDouble) - normaliser_b).exp();
}

BlockedSoftmax::BlockedSoftmax(const at::Tensor& hidden_AD, const at::Tensor& head_VD, bool want_weight_gradient,
                               const std::optional<LogitBlocks>& blocks)
    : hidden_AD_(hidden_AD.contiguous()), num_rows_(head_VD.size(0)),
      head_VD_(padded(head_VD, hidden_AD.scalar_type())), sums_(residual_dtype(hidden_AD.scalar_type())) {
  hidden_gradient_ = at::zeros(hidden_AD_.sizes(), sum_options());
  if (want_weight_gradient) weight_gradient_ = at::zeros(head_VD_.sizes(), sum_options());
  cut(blocks.value_or(logit_blocks(hidden_AD_)));
}

void BlockedSoftmax::add_softmax_terms(Range positions, const ExpBlock& block, const at::Tensor& scale_b) {
  const at::Tensor scale_b1 = scale_b.to(sums_).unsqueeze(1), hidden_bD = positions.of(hidden_AD_);
  positions.of(hidden_gradient_).addcmul_(product(block.p_bv, block.rows.of(head_VD_)), scale_b1);
  if (!weight_gradient_.defined()) return;
  at::Tensor scaled_bD = at::empty(hidden_bD.sizes(), hidden_bD.options()),
             gradient_vD = block.rows.of(weight_gradient_);
  at::mul_out(scaled_bD, hidden_bD, scale_b1);  // in the precision of the sums, rounded once
  add_product(gradient_vD, block.p_bv.t(), scaled_bD);
}

void BlockedSoftmax::add_logit_gradient(Range positions, Range rows, const at::Tensor& gradient_bv) {
  at::Tensor hidden_bD = positions.of(hidden_gradient_);
  add_product_of_rows(hidden_bD, gradient_bv, rows.of(head_VD_));
  if (!weight_gradient_.defined()) return;
  at::Tensor gradient_vD = rows.of(weight_gradient_);
  add_product(gradient_vD, gradient_bv.t(), positions.of(hidden_AD_));
}

at::Tensor BlockedSoftmax::target_logits(const FlatTargets& targets) const {
  return kernels::row_dots(hidden_AD_, targets.position_K, head_VD_, targets.row_K);
}

void BlockedSoftmax::add_target_terms(const FlatTargets& targets) {
  const at::Tensor minus_weight_K = targets.weight_K.neg().to(sums_);
  kernels::add_scaled_rows(hidden_gradient_, targets.position_K, {head_VD_, targets.row_K, minus_weight_K});
  if (!weight_gradient_.defined()) return;
  at::Tensor gradient_VD = weight_gradient_.narrow(0, 0, num_rows_);
  kernels::add_scaled_rows(gradient_VD, targets.row_K, {hidden_AD_, targets.position_K, minus_weight_K});
}

void BlockedSoftmax::cut(const LogitBlocks& blocks) {
  const int64_t V = std::max<int64_t>(1, head_VD_.size(0)), A = std::max<int64_t>(1, num_positions());
  const auto element = static_cast<int64_t>(hidden_AD_.element_size());
  const int64_t least = std::min(A, blocks.least_positions);
  if (least * V * element <= blocks.whole_row_bytes) {
    positions_per_block_ = std::max(blocks.least_positions, blocks.bytes / (V * element));
    rows_per_block_ = V;
    may_keep_ = A * V * element <= blocks.kept_bytes;
  } else {
    positions_per_block_ = least;
    rows_per_block_ = std::max<int64_t>(1, blocks.bytes / (least * kWord * element)) * kWord;
  }
}

at::Tensor BlockedSoftmax::logits(Range positions, Range rows) const {
  return rounded_product(positions.of(hidden_AD_), rows.of(head_VD_).t());
}

ExpBlock BlockedSoftmax::exp_block(Range positions, Range rows) const {
  ExpBlock out{rows, logits(positions, rows), at::empty({positions.count}, sum_options()),
               at::empty({positions.count}, sum_options())};
  at::Tensor logits_bv = out.p_bv.narrow(1, 0, num_real(rows));
  kernels::exp_rows(logits_bv, out.maximum_b, out.sum_b);
  return out;  // padding columns hold logits 0 and meet rows of zeros
}

at::Tensor BlockedSoftmax::log_sum_exp(Range positions) const {
  at::Tensor out_b = at::full({positions.count}, -INFINITY, sum_options().dtype(at::kDouble));
  for_each_exp(positions, [&](const ExpBlock& block) { at::logaddexp_out(out_b, out_b, block.log_sum()); });
  return out_b;
}

}  // namespace cllm
