#include "model/losses/softmax_head.h"

// Softmax over the V rows of a head, block by block. With P = exp(logits - max), s = sum P and c = sum of a position's
// target weights, the gradients factor so that no block has to be normalised, and the targets' terms are K single rows:
//   dH = (c / s) (P W) - sum_k weight_k W[target_k]        dW = P^T ((c / s) H) - sum_k weight_k H[position_k]
// A block of a part of the rows takes the maximum of that part, m, and s is then exp(log sum exp over all rows - m).
// Letters: A positions, V rows of the head here, b positions and v rows of a block, K targets, D width, R ranks.

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/diff.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/logaddexp.h>
#include <ATen/ops/logical_and.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/repeat_interleave.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>
#include <vector>

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

/// Targets as a flat list; `row` counts from the first row of the head that is here.
struct FlatTargets {
  at::Tensor position_K, row_K;  // int64
  at::Tensor weight_K;           // fp64
};

FlatTargets flatten(const Targets& targets) {
  const at::Tensor counts_A = at::diff(targets.offsets_A1);
  return {at::repeat_interleave(counts_A, /*output_size=*/std::optional(targets.ids_K.size(0))), targets.ids_K,
          targets.weights_K};
}

at::Tensor weight_of_positions(const FlatTargets& targets, int64_t A) {
  return at::zeros({A}, targets.weight_K.options()).index_add_(0, targets.position_K, targets.weight_K);
}

/// Some positions, or some rows of the head.
struct Range {
  int64_t first, count;
  at::Tensor of(const at::Tensor& tensor) const { return tensor.narrow(0, first, count); }
};

/// Calls `use(range)` for one range after the other of `step` of `all`.
template <typename Use>
void for_each_range(int64_t all, int64_t step, Use&& use) {
  for (int64_t first = 0; first < all; first += step) use(Range{first, std::min(step, all - first)});
}

/// P of a block, and the maximum and the sum of its positions.
struct ExpBlock {
  Range rows;  // of the head, with its padding
  at::Tensor p_bv, maximum_b, sum_b;

  at::Tensor log_sum() const { return maximum_b.to(at::kDouble) + sum_b.to(at::kDouble).log(); }
  /// weight / sum of exp(logit - maximum) over all rows of the head, from the log of the sum of exp(logit).
  at::Tensor scale(const at::Tensor& weight_b, const at::Tensor& normaliser_b) const {
    return weight_b * (maximum_b.to(at::kDouble) - normaliser_b).exp();
  }
};

/// The head's rows on this rank and the gradients of one call.
class BlockedSoftmax {
 public:
  BlockedSoftmax(const at::Tensor& hidden_AD, const at::Tensor& head_VD, bool want_weight_gradient,
                 const std::optional<LogitBlocks>& blocks)
      : hidden_AD_(hidden_AD.contiguous()), num_rows_(head_VD.size(0)),
        head_VD_(padded(head_VD, hidden_AD.scalar_type())), sums_(residual_dtype(hidden_AD.scalar_type())) {
    hidden_gradient_ = at::zeros(hidden_AD_.sizes(), sum_options());
    if (want_weight_gradient) weight_gradient_ = at::zeros(head_VD_.sizes(), sum_options());
    cut(blocks.value_or(logit_blocks(hidden_AD_)));
  }

  int64_t num_positions() const { return hidden_AD_.size(0); }
  /// A block has all rows of the head.
  bool whole_rows() const { return rows_per_block_ >= head_VD_.size(0); }
  bool may_keep() const { return may_keep_; }

  /// Calls `use(positions)` block after block.
  template <typename Use>
  void for_each_block(Use&& use) const {
    for_each_range(num_positions(), positions_per_block_, use);
  }
  /// Calls `use(ExpBlock)` for the blocks of some positions.
  template <typename Use>
  void for_each_exp(Range positions, Use&& use) const {
    for_each_range(head_VD_.size(0), rows_per_block_, [&](Range rows) { use(exp_block(positions, rows)); });
  }

  ExpBlock whole_exp(Range positions) const { return exp_block(positions, {0, head_VD_.size(0)}); }

  /// The softmax terms of the gradients of a block; scale_b: c / s.
  void add_softmax_terms(Range positions, const ExpBlock& block, const at::Tensor& scale_b) {
    const at::Tensor scale_b1 = scale_b.to(sums_).unsqueeze(1), hidden_bD = positions.of(hidden_AD_);
    positions.of(hidden_gradient_).addcmul_(product(block.p_bv, block.rows.of(head_VD_)), scale_b1);
    if (!weight_gradient_.defined()) return;
    at::Tensor scaled_bD = at::empty(hidden_bD.sizes(), hidden_bD.options()),
               gradient_vD = block.rows.of(weight_gradient_);
    at::mul_out(scaled_bD, hidden_bD, scale_b1);  // in the precision of the sums, rounded once
    add_product(gradient_vD, block.p_bv.t(), scaled_bD);
  }

  /// Logits of the targets [K], fp64.
  at::Tensor target_logits(const FlatTargets& targets) const {
    return kernels::row_dots(hidden_AD_, targets.position_K, head_VD_, targets.row_K);
  }

  /// The targets' terms of the gradients.
  void add_target_terms(const FlatTargets& targets) {
    const at::Tensor minus_weight_K = targets.weight_K.neg().to(sums_);
    kernels::add_scaled_rows(hidden_gradient_, targets.position_K, {head_VD_, targets.row_K, minus_weight_K});
    if (!weight_gradient_.defined()) return;
    at::Tensor gradient_VD = weight_gradient_.narrow(0, 0, num_rows_);
    kernels::add_scaled_rows(gradient_VD, targets.row_K, {hidden_AD_, targets.position_K, minus_weight_K});
  }

  const at::Tensor& hidden_gradient() const { return hidden_gradient_; }
  /// Undefined for a frozen head.
  at::Tensor weight_gradient() const {
    return weight_gradient_.defined() ? weight_gradient_.narrow(0, 0, num_rows_) : weight_gradient_;
  }
  at::TensorOptions sum_options() const { return hidden_AD_.options().dtype(sums_); }

 private:
  void cut(const LogitBlocks& blocks) {
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

  ExpBlock exp_block(Range positions, Range rows) const {
    ExpBlock out{rows, at::mm(positions.of(hidden_AD_), rows.of(head_VD_).t()),
                 at::empty({positions.count}, sum_options()), at::empty({positions.count}, sum_options())};
    at::Tensor logits_bv = out.p_bv.narrow(1, 0, std::min(rows.count, num_rows_ - rows.first));
    kernels::exp_rows(logits_bv, out.maximum_b, out.sum_b);
    return out;  // padding columns hold logits 0 and meet rows of zeros
  }

  at::Tensor hidden_AD_;
  int64_t num_rows_;  // V, without padding
  at::Tensor head_VD_;
  at::ScalarType sums_;  // fp64 for fp64 hidden states, otherwise fp32
  int64_t positions_per_block_ = 0, rows_per_block_ = 0;
  bool may_keep_ = false;
  at::Tensor hidden_gradient_, weight_gradient_;  // in the precision of the sums
};

/// log sum exp of some positions [b] over the rows that are here, in fp64; without rows -infinity.
at::Tensor log_sum_exp(const BlockedSoftmax& softmax, Range positions) {
  at::Tensor out_b = at::full({positions.count}, -INFINITY, softmax.sum_options().dtype(at::kDouble));
  softmax.for_each_exp(positions, [&](const ExpBlock& block) { at::logaddexp_out(out_b, out_b, block.log_sum()); });
  return out_b;
}

/// The whole head is here: one pass over blocks of whole rows, two over parts of them. Gradients are in the precision
/// of the sums.
HeadResult softmax_here(const at::Tensor& hidden_AD, const at::Tensor& head_VD, const Targets& csr,
                        bool want_weight_gradient, const std::optional<LogitBlocks>& blocks) {
  BlockedSoftmax softmax(hidden_AD, head_VD, want_weight_gradient, blocks);
  const FlatTargets targets = flatten(csr);
  const at::Tensor weight_A = weight_of_positions(targets, softmax.num_positions());
  at::Tensor loss = -(targets.weight_K * softmax.target_logits(targets)).sum();
  softmax.for_each_block([&](Range positions) {
    const at::Tensor weight_b = positions.of(weight_A);
    if (softmax.whole_rows()) {
      const ExpBlock block = softmax.whole_exp(positions);
      loss += (weight_b * block.log_sum()).sum();
      return softmax.add_softmax_terms(positions, block, weight_b / block.sum_b);
    }
    const at::Tensor normaliser_b = log_sum_exp(softmax, positions);
    loss += (weight_b * normaliser_b).sum();
    softmax.for_each_exp(positions, [&](const ExpBlock& block) {
      softmax.add_softmax_terms(positions, block, block.scale(weight_b, normaliser_b));
    });
  });
  softmax.add_target_terms(targets);
  return {loss.item<double>(), softmax.hidden_gradient().to(hidden_AD.scalar_type()), softmax.weight_gradient()};
}

/// The table travels: all rows here, then the sum of the ranks' weight gradients back to the owners.
HeadResult softmax_gathered(Communicator& comm, const RowPartition& items, const at::Tensor& hidden_AD,
                            const at::Tensor& local_items, const Targets& targets,
                            const std::optional<LogitBlocks>& blocks) {
  const std::vector<int64_t> sizes = items.sizes();
  const at::Tensor mine = local_items.to(hidden_AD.scalar_type()).contiguous();
  at::Tensor all_JD = at::empty({items.num_rows(), mine.size(1)}, mine.options());
  comm.all_gather(all_JD, mine, sizes);
  HeadResult result = softmax_here(hidden_AD, all_JD, targets, /*want_weight_gradient=*/true, blocks);
  at::Tensor local_gradient = at::empty(mine.sizes(), result.weight_gradient.options());
  comm.reduce_scatter(local_gradient, result.weight_gradient, sizes);
  result.weight_gradient = local_gradient.to(residual_dtype(local_items.scalar_type()));
  return result;
}

/// The positions of all ranks, one rank after the other.
struct AllPositions {
  std::vector<int64_t> positions, targets;       // [R] of every rank
  int64_t first_position = 0, first_target = 0;  // of this rank
  at::Tensor hidden_AD;
  FlatTargets flat;  // rows count from the first item of all
};

AllPositions gather_positions(Communicator& comm, const at::Tensor& hidden_AD, const Targets& targets) {
  const int R = comm.world_size();
  at::Tensor counts_R2 = at::empty({R, 2}, at::kLong);
  comm.all_gather(counts_R2, at::tensor({hidden_AD.size(0), targets.ids_K.size(0)}, at::kLong).view({1, 2}),
                  std::vector<int64_t>(R, 1));
  AllPositions all;
  int64_t A = 0, K = 0;
  for (int rank = 0; rank < R; ++rank) {
    if (rank == comm.rank()) {
      all.first_position = A;
      all.first_target = K;
    }
    all.positions.push_back(counts_R2[rank][0].item<int64_t>());
    all.targets.push_back(counts_R2[rank][1].item<int64_t>());
    A += all.positions.back();
    K += all.targets.back();
  }
  const auto gather = [&](const at::Tensor& mine, const std::vector<int64_t>& shape, const std::vector<int64_t>& rows) {
    at::Tensor out = at::empty(shape, mine.options());
    comm.all_gather(out, mine.contiguous(), rows);
    return out;
  };
  const FlatTargets mine = flatten(targets);
  all.hidden_AD = gather(hidden_AD, {A, hidden_AD.size(1)}, all.positions);
  const at::Tensor positions_K =
      (mine.position_K + all.first_position).to(at::kDouble);  // whole numbers: exact below 2^53
  const at::Tensor targets_K3 =
      gather(at::stack({positions_K, mine.row_K.to(at::kDouble), mine.weight_K}, 1), {K, 3}, all.targets);
  all.flat = {targets_K3.select(1, 0).to(at::kLong), targets_K3.select(1, 1).to(at::kLong),
              targets_K3.select(1, 2).contiguous()};
  return all;
}

/// The hidden states travel: every rank scores all positions against its own rows. Pass 1 finds the log of the sums,
/// which one all-reduce merges; pass 2 makes the gradients from P, kept or computed again.
HeadResult softmax_sharded(Communicator& comm, const RowPartition& items, const at::Tensor& hidden_AD,
                           const at::Tensor& local_items, const Targets& targets,
                           const std::optional<LogitBlocks>& blocks) {
  const AllPositions all = gather_positions(comm, hidden_AD, targets);
  BlockedSoftmax softmax(all.hidden_AD, local_items, /*want_weight_gradient=*/true, blocks);
  const int64_t A = softmax.num_positions();
  at::Tensor here_A = at::empty({A}, softmax.sum_options().dtype(at::kDouble));  // log sum exp over this rank's rows
  std::vector<ExpBlock> kept;
  softmax.for_each_block([&](Range positions) {
    if (softmax.may_keep()) kept.push_back(softmax.whole_exp(positions));
    positions.of(here_A).copy_(softmax.may_keep() ? kept.back().log_sum() : log_sum_exp(softmax, positions));
  });

  // Merge: one all-reduce over (log sum exp of every position, logit of every target). A target's logit is known to one
  // rank and is the log sum exp of itself, so one operation serves both.
  const int64_t first_row = items.begin(comm.rank());
  const at::Tensor here =
      at::logical_and(all.flat.row_K >= first_row, all.flat.row_K < items.end(comm.rank())).nonzero().squeeze(1);
  const FlatTargets mine{all.flat.position_K.index_select(0, here), all.flat.row_K.index_select(0, here) - first_row,
                         all.flat.weight_K.index_select(0, here)};
  const at::Tensor logit_K = at::full({all.flat.row_K.size(0)}, -INFINITY, all.flat.weight_K.options())
                                 .index_copy_(0, here, softmax.target_logits(mine));
  at::Tensor packed = at::cat({here_A, logit_K});
  comm.all_reduce(packed, ReduceOp::kLogSumExp);
  const at::Tensor normaliser_A = packed.narrow(0, 0, A);
  const at::Tensor weight_A = weight_of_positions(all.flat, A);

  size_t next = 0;
  softmax.for_each_block([&](Range positions) {
    const auto add_terms = [&](const ExpBlock& block) {
      softmax.add_softmax_terms(positions, block, block.scale(positions.of(weight_A), positions.of(normaliser_A)));
    };
    if (softmax.may_keep()) return add_terms(std::exchange(kept[next++], {}));
    softmax.for_each_exp(positions, add_terms);
  });
  softmax.add_target_terms(mine);

  at::Tensor own_gradient = at::empty(hidden_AD.sizes(), softmax.hidden_gradient().options());
  comm.reduce_scatter(own_gradient, softmax.hidden_gradient(), all.positions);
  const int64_t own_A = hidden_AD.size(0), own_K = targets.ids_K.size(0);
  const double loss =
      (weight_A.narrow(0, all.first_position, own_A) * normaliser_A.narrow(0, all.first_position, own_A))
          .sum()
          .item<double>() -
      (targets.weights_K * packed.narrow(0, A + all.first_target, own_K)).sum().item<double>();
  return {loss, own_gradient.to(hidden_AD.scalar_type()),
          softmax.weight_gradient().to(residual_dtype(local_items.scalar_type()))};
}

}  // namespace

LogitBlocks logit_blocks(const at::Tensor& hidden_AD) {
  constexpr int64_t kMega = 1 << 20;
  if (hidden_AD.is_cpu())
    return {.bytes = 4 * kMega, .least_positions = 64, .whole_row_bytes = 64 * kMega, .kept_bytes = 64 * kMega};
  const int64_t bytes = std::max(64 * kMega, 16 * hidden_AD.numel());
  return {.bytes = bytes,
          .least_positions = 1024,
          .whole_row_bytes = std::max(256 * kMega, bytes),
          .kept_bytes = 64 * kMega};
}

HeadResult item_softmax(Communicator& comm, const RowPartition& items, ItemSoftmax form, const at::Tensor& hidden_AD,
                        const at::Tensor& local_items, const Targets& targets, std::optional<LogitBlocks> blocks) {
  const at::NoGradGuard no_grad;
  if (comm.world_size() == 1) {
    HeadResult result = softmax_here(hidden_AD, local_items, targets, /*want_weight_gradient=*/true, blocks);
    result.weight_gradient = result.weight_gradient.to(residual_dtype(local_items.scalar_type()));
    return result;
  }
  return form == ItemSoftmax::kGathered ? softmax_gathered(comm, items, hidden_AD, local_items, targets, blocks)
                                        : softmax_sharded(comm, items, hidden_AD, local_items, targets, blocks);
}

HeadResult text_softmax(const at::Tensor& hidden_AD, const at::Tensor& words_ND, const Targets& targets,
                        bool want_weight_gradient, std::optional<LogitBlocks> blocks) {
  const at::NoGradGuard no_grad;
  return softmax_here(hidden_AD, words_ND, targets, want_weight_gradient, blocks);
}

}  // namespace cllm
