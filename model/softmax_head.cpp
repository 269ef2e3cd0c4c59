#include "model/softmax_head.h"

// Softmax over the V rows of a head, block by block of positions. With P = exp(logits - max), s = sum P and c = sum of a position's
// target weights, the gradients factor so that no block has to be normalised, and the targets' terms are K single rows:
//   dH = (c / s) (P W) - sum_k weight_k W[target_k]        dW = P^T ((c / s) H) - sum_k weight_k H[position_k]
// Letters: A positions, b positions of a block, V rows of the head here, K targets, D width, R ranks.

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/diff.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/full.h>
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

#include "model/compute_dtype.h"
#include "model/kernels/softmax_block.h"
#include "model/products.h"

namespace cllm {
namespace {

/// Bytes of one block of logits, and its least number of positions, below which the products starve. CPU: a block stays in the cache
/// between the products. GPU: a block fills the chip for many waves of tiles, and is at most 4 times the fp32 hidden states.
struct BlockSize {
  int64_t bytes, least_rows;
};
BlockSize block_size(const at::Tensor& hidden_AD) {
  if (hidden_AD.is_cpu()) return {4 << 20, 64};
  return {std::max<int64_t>(64 << 20, 16 * hidden_AD.numel()), 1024};
}

/// cuBLAS is slow on bf16 matrices whose rows are not whole 16-byte words: the head gets rows of zeros up to a multiple of 8.
at::Tensor pad_rows(const at::Tensor& head_VD) {
  const int64_t missing = head_VD.is_cpu() ? 0 : (8 - head_VD.size(0) % 8) % 8;
  return missing == 0 ? head_VD : at::constant_pad_nd(head_VD, {0, 0, 0, missing});
}

/// A sharded softmax keeps P between its two passes up to this many bytes, and computes it again beyond.
constexpr int64_t kKeptBytes = 64 << 20;

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

/// The head's rows on this rank and the gradients of one call.
class BlockedSoftmax {
 public:
  BlockedSoftmax(const at::Tensor& hidden_AD, const at::Tensor& head_VD, bool want_weight_gradient)
      : hidden_AD_(hidden_AD.contiguous()), num_rows_(head_VD.size(0)), head_VD_(pad_rows(head_VD.to(hidden_AD.scalar_type()))),
        sums_(residual_dtype(hidden_AD.scalar_type())) {
    const int64_t row_bytes = std::max<int64_t>(1, head_VD_.size(0)) * static_cast<int64_t>(hidden_AD_.element_size());
    const BlockSize size = block_size(hidden_AD_);
    rows_per_block_ = std::max(size.least_rows, size.bytes / row_bytes);
    hidden_gradient_ = at::empty(hidden_AD_.sizes(), sum_options());
    if (want_weight_gradient) weight_gradient_ = at::zeros(head_VD_.sizes(), sum_options());
  }

  int64_t num_positions() const { return hidden_AD_.size(0); }
  bool may_keep() const {
    return num_positions() * head_VD_.size(0) * static_cast<int64_t>(hidden_AD_.element_size()) <= kKeptBytes;
  }

  /// Calls `use(first position, number)` block after block.
  template <typename Use>
  void for_each_block(Use&& use) const {
    for (int64_t first = 0; first < num_positions(); first += rows_per_block_) {
      use(first, std::min(rows_per_block_, num_positions() - first));
    }
  }

  /// P of a block, and its row maxima and sums.
  at::Tensor exp_block(int64_t first, int64_t count, at::Tensor maximum_b, at::Tensor sum_b) const {
    at::Tensor block_bV = at::mm(hidden_AD_.narrow(0, first, count), head_VD_.t());
    at::Tensor logits_bV = block_bV.narrow(1, 0, num_rows_);
    kernels::exp_rows(logits_bV, std::move(maximum_b), std::move(sum_b));
    return block_bV;  // padding columns hold logits 0 and meet rows of zeros
  }

  /// The softmax terms of the gradients of a block; scale_b: c / s.
  void add_softmax_terms(int64_t first, const at::Tensor& block_bV, const at::Tensor& scale_b) {
    const int64_t count = block_bV.size(0);
    const at::Tensor scale_b1 = scale_b.to(sums_).unsqueeze(1);
    at::Tensor hidden_gradient_bD = hidden_gradient_.narrow(0, first, count);
    at::mul_out(hidden_gradient_bD, product(block_bV, head_VD_), scale_b1);
    if (!weight_gradient_.defined()) return;
    at::Tensor scaled_bD = at::empty({count, hidden_AD_.size(1)}, hidden_AD_.options());
    at::mul_out(scaled_bD, hidden_AD_.narrow(0, first, count), scale_b1);  // in the precision of the sums, rounded once
    add_product(weight_gradient_, block_bV.t(), scaled_bD);
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
  at::Tensor hidden_AD_;
  int64_t num_rows_;  // V, without padding
  at::Tensor head_VD_;
  at::ScalarType sums_;  // fp64 for fp64 hidden states, otherwise fp32
  int64_t rows_per_block_ = 0;
  at::Tensor hidden_gradient_, weight_gradient_;  // in the precision of the sums
};

/// The whole head is here: one pass. Gradients are in the precision of the sums.
HeadResult softmax_here(const at::Tensor& hidden_AD, const at::Tensor& head_VD, const Targets& csr, bool want_weight_gradient) {
  BlockedSoftmax softmax(hidden_AD, head_VD, want_weight_gradient);
  const FlatTargets targets = flatten(csr);
  const at::Tensor weight_A = weight_of_positions(targets, softmax.num_positions());
  const auto options = softmax.sum_options();
  at::Tensor loss = -(targets.weight_K * softmax.target_logits(targets)).sum();
  softmax.for_each_block([&](int64_t first, int64_t count) {
    const at::Tensor maximum_b = at::empty({count}, options), sum_b = at::empty({count}, options);
    const at::Tensor block_bV = softmax.exp_block(first, count, maximum_b, sum_b);
    const at::Tensor weight_b = weight_A.narrow(0, first, count);
    loss += (weight_b * (maximum_b.to(at::kDouble) + sum_b.to(at::kDouble).log())).sum();
    softmax.add_softmax_terms(first, block_bV, weight_b / sum_b);
  });
  softmax.add_target_terms(targets);
  return {loss.item<double>(), softmax.hidden_gradient().to(hidden_AD.scalar_type()), softmax.weight_gradient()};
}

/// The table travels: all rows here, then the sum of the ranks' weight gradients back to the owners.
HeadResult softmax_gathered(Communicator& comm, const RowPartition& items, const at::Tensor& hidden_AD,
                            const at::Tensor& local_items, const Targets& targets) {
  const std::vector<int64_t> sizes = items.sizes();
  const at::Tensor mine = local_items.to(hidden_AD.scalar_type()).contiguous();
  at::Tensor all_JD = at::empty({items.num_rows(), mine.size(1)}, mine.options());
  comm.all_gather(all_JD, mine, sizes);
  HeadResult result = softmax_here(hidden_AD, all_JD, targets, /*want_weight_gradient=*/true);
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
  const at::Tensor positions_K = (mine.position_K + all.first_position).to(at::kDouble);  // whole numbers: exact below 2^53
  const at::Tensor targets_K3 =
      gather(at::stack({positions_K, mine.row_K.to(at::kDouble), mine.weight_K}, 1), {K, 3}, all.targets);
  all.flat = {targets_K3.select(1, 0).to(at::kLong), targets_K3.select(1, 1).to(at::kLong), targets_K3.select(1, 2).contiguous()};
  return all;
}

/// The hidden states travel: every rank scores all positions against its own rows. Pass 1 finds the maxima and sums, which one
/// all-reduce merges; pass 2 makes the gradients from P, kept or computed again.
HeadResult softmax_sharded(Communicator& comm, const RowPartition& items, const at::Tensor& hidden_AD,
                           const at::Tensor& local_items, const Targets& targets) {
  const AllPositions all = gather_positions(comm, hidden_AD, targets);
  BlockedSoftmax softmax(all.hidden_AD, local_items, /*want_weight_gradient=*/true);
  const int64_t A = softmax.num_positions();
  at::Tensor maximum_A = at::empty({A}, softmax.sum_options()), sum_A = at::empty_like(maximum_A);
  std::vector<at::Tensor> kept;
  softmax.for_each_block([&](int64_t first, int64_t count) {
    at::Tensor block_bV = softmax.exp_block(first, count, maximum_A.narrow(0, first, count), sum_A.narrow(0, first, count));
    if (softmax.may_keep()) kept.push_back(std::move(block_bV));
  });

  // Merge: one all-reduce over (log sum exp of every position, logit of every target). A target's logit is known to one rank and is
  // the log sum exp of itself, so one operation serves both.
  const int64_t first_row = items.begin(comm.rank());
  const at::Tensor here =
      at::logical_and(all.flat.row_K >= first_row, all.flat.row_K < items.end(comm.rank())).nonzero().squeeze(1);
  const FlatTargets mine{all.flat.position_K.index_select(0, here), all.flat.row_K.index_select(0, here) - first_row,
                         all.flat.weight_K.index_select(0, here)};
  const at::Tensor logit_K = at::full({all.flat.row_K.size(0)}, -INFINITY, all.flat.weight_K.options())
                                 .index_copy_(0, here, softmax.target_logits(mine));
  const at::Tensor top_A = maximum_A.to(at::kDouble);  // of this rank's rows
  at::Tensor packed = at::cat({top_A + sum_A.to(at::kDouble).log(), logit_K});
  comm.all_reduce(packed, ReduceOp::kLogSumExp);
  const at::Tensor normaliser_A = packed.narrow(0, 0, A);
  const at::Tensor weight_A = weight_of_positions(all.flat, A);
  const at::Tensor scale_A = weight_A * (top_A - normaliser_A).exp();

  size_t block = 0;
  softmax.for_each_block([&](int64_t first, int64_t count) {
    const at::Tensor block_bV =
        softmax.may_keep() ? std::move(kept[block++])
                           : softmax.exp_block(first, count, maximum_A.narrow(0, first, count), sum_A.narrow(0, first, count));
    softmax.add_softmax_terms(first, block_bV, scale_A.narrow(0, first, count));
  });
  softmax.add_target_terms(mine);

  at::Tensor own_gradient = at::empty(hidden_AD.sizes(), softmax.hidden_gradient().options());
  comm.reduce_scatter(own_gradient, softmax.hidden_gradient(), all.positions);
  const int64_t own_A = hidden_AD.size(0), own_K = targets.ids_K.size(0);
  const double loss =
      (weight_A.narrow(0, all.first_position, own_A) * normaliser_A.narrow(0, all.first_position, own_A)).sum().item<double>() -
      (targets.weights_K * packed.narrow(0, A + all.first_target, own_K)).sum().item<double>();
  return {loss, own_gradient.to(hidden_AD.scalar_type()),
          softmax.weight_gradient().to(residual_dtype(local_items.scalar_type()))};
}

}  // namespace

HeadResult item_softmax(Communicator& comm, const RowPartition& items, ItemSoftmax form, const at::Tensor& hidden_AD,
                        const at::Tensor& local_items, const Targets& targets) {
  const at::NoGradGuard no_grad;
  if (comm.world_size() == 1) {
    HeadResult result = softmax_here(hidden_AD, local_items, targets, /*want_weight_gradient=*/true);
    result.weight_gradient = result.weight_gradient.to(residual_dtype(local_items.scalar_type()));
    return result;
  }
  return form == ItemSoftmax::kGathered ? softmax_gathered(comm, items, hidden_AD, local_items, targets)
                                        : softmax_sharded(comm, items, hidden_AD, local_items, targets);
}

HeadResult text_softmax(const at::Tensor& hidden_AD, const at::Tensor& words_ND, const Targets& targets,
                        bool want_weight_gradient) {
  const at::NoGradGuard no_grad;
  return softmax_here(hidden_AD, words_ND, targets, want_weight_gradient);
}

}  // namespace cllm
