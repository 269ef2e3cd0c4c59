#include "model/losses/softmax_head.h"

// Letters: A positions, V rows of the head here, b positions of a block, K targets, D width, R ranks.

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/logical_and.h>
#include <ATen/ops/tensor.h>

#include <cmath>
#include <optional>
#include <utility>
#include <vector>

#include "model/kernels/compute_dtype.h"
#include "model/losses/all_positions.h"
#include "model/losses/blocked_softmax.h"

namespace cllm {
namespace {

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
    const at::Tensor normaliser_b = softmax.log_sum_exp(positions);
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
    positions.of(here_A).copy_(softmax.may_keep() ? kept.back().log_sum() : softmax.log_sum_exp(positions));
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
