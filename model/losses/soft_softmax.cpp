#include "model/losses/soft_softmax.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/full.h>
#include <ATen/ops/logaddexp.h>
#include <ATen/ops/maximum.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <cmath>
#include <utility>
#include <vector>

#include "model/kernels/compute_dtype.h"
#include "model/kernels/softmax/softmax_block.h"
#include "model/losses/all_positions.h"
#include "model/losses/blocked_softmax.h"
#include "model/losses/pairs.h"

namespace cllm {
namespace {

constexpr double kMasked = -1e30;  // a logit whose exponential is 0, and that is no infinity: infinities make NaN

/// What a range of rows, or a rank, knows of positions [b]; fp64.
struct Sums {
  at::Tensor logits, labels;            // log sum of e^logit; of e^label
  at::Tensor of_targets, of_labels;     // log sum of T e^logit; of e^(label + logit)
  at::Tensor label_maximum, label_dot;  // sum of e^(label - maximum) logit
  at::Tensor target_dot;                // sum of target weight logit

  static Sums none(int64_t b, const at::TensorOptions& options) {
    const auto filled = [&](double value) { return at::full({b}, value, options.dtype(at::kDouble)); };
    return {filled(-INFINITY), filled(-INFINITY), filled(-INFINITY), filled(-INFINITY),
            filled(kMasked),   filled(0),         filled(0)};
  }
  /// Views.
  Sums of(Range p) const {
    return {p.of(logits),        p.of(labels),    p.of(of_targets), p.of(of_labels),
            p.of(label_maximum), p.of(label_dot), p.of(target_dot)};
  }
  void add(const Sums& more) {
    at::logaddexp_out(logits, logits, more.logits);
    at::logaddexp_out(labels, labels, more.labels);
    at::logaddexp_out(of_targets, of_targets, more.of_targets);
    at::logaddexp_out(of_labels, of_labels, more.of_labels);
    const at::Tensor maximum = at::maximum(label_maximum, more.label_maximum);
    label_dot.mul_((label_maximum - maximum).exp()).add_(more.label_dot * (more.label_maximum - maximum).exp());
    label_maximum.copy_(maximum);
    target_dot.add_(more.target_dot);
  }
};

/// A block between the passes.
struct SoftBlock {
  Range rows;
  at::Tensor p_bv;  // e^(logit - maximum), with padding
  at::Tensor maximum_b = {};
  at::Tensor q_bv = {}, q_maximum_b = {};  // e^(label - maximum); undefined without labels
  Pairs targets;
  Sums sums;
};

at::Tensor exp_rows(at::Tensor& block_bv, at::Tensor& maximum_b) {
  maximum_b = at::empty({block_bv.size(0)}, block_bv.options().dtype(residual_dtype(block_bv.scalar_type())));
  const at::Tensor sum_b = at::empty_like(maximum_b);
  kernels::exp_rows(block_bv, maximum_b, sum_b);
  return maximum_b.to(at::kDouble) + sum_b.to(at::kDouble).log();
}

void mask(at::Tensor& block_bv, const Pairs& pairs) {
  block_bv.index_put_({pairs.position_P, pairs.row_P}, at::full({}, kMasked, block_bv.options()));
}

class SoftSoftmax {
 public:
  /// `targets`, `shown`: of this rank's rows. `weight_A`: c.
  SoftSoftmax(const BlockedSoftmax& softmax, const SoftObjective& objective, Pairs targets, Pairs shown,
              at::Tensor weight_A)
      : softmax_(softmax), objective_(objective), targets_(std::move(targets)), shown_(std::move(shown)),
        weight_A_(std::move(weight_A)), log_outside_(objective.form == SoftForm::kLogOutside) {}

  SoftBlock block(Range positions, Range rows) const {
    SoftBlock out{.rows = rows,
                  .p_bv = softmax_.logits(positions, rows),
                  .targets = targets_.within(positions, rows),
                  .sums = Sums::none(positions.count, softmax_.sum_options())};
    at::Tensor p_bv = real(out);
    const Pairs shown = shown_.within(positions, rows);
    out.sums.target_dot.index_add_(0, out.targets.position_P,
                                   out.targets.weight_P * out.targets.of(p_bv).to(at::kDouble));
    if (objective_.labels != nullptr) {
      out.q_bv = objective_.labels->logits(positions, {rows.first, p_bv.size(1)});
      mask(out.q_bv, shown);
      out.sums.labels = exp_rows(out.q_bv, out.q_maximum_b);
      out.sums.label_maximum.copy_(out.q_maximum_b);
      out.sums.label_dot = (out.q_bv * p_bv).sum(1, false, at::kDouble);
    }
    if (objective_.mask_shown) mask(p_bv, shown);
    out.sums.logits = exp_rows(p_bv, out.maximum_b);
    if (log_outside_) add_mixture(out, p_bv);
    return out;
  }

  /// d loss / d logits of a block, in the place of its p_bv. `all`: the sums over the rows of all ranks.
  void make_gradient(Range positions, SoftBlock& block, const Sums& all) const {
    const at::Tensor weight_b = positions.of(weight_A_), maximum_b = block.maximum_b.to(at::kDouble);
    const at::Tensor share_b = weight_b * (maximum_b - all.logits).exp();  // of P
    at::Tensor p_bv = real(block);
    if (!log_outside_) {
      at::Tensor out = p_bv.to(block.maximum_b.scalar_type());
      out.mul_(column(share_b, out));
      subtract_labels(out, block, weight_b, at::ones_like(weight_b), all);
      return static_cast<void>(p_bv.copy_(out));
    }
    constexpr double kMost = 80;  // e^80 is finite in fp32
    const at::Tensor ratio_b = weight_b * (maximum_b - mixture(all)).clamp_max(kMost).exp();
    at::Tensor out = at::zeros(p_bv.sizes(), block.maximum_b.options());
    out.add_(column(share_b, out));
    subtract_labels(out, block, ratio_b, ratio_b, all);
    p_bv.copy_(out.mul_(p_bv));
  }

  /// log sum of y e^logit.
  at::Tensor mixture(const Sums& all) const {
    if (objective_.labels == nullptr) return all.of_targets;
    return at::logaddexp(all.of_targets + std::log(1 - objective_.alpha),
                         all.of_labels - all.labels + std::log(objective_.alpha));
  }

  /// This rank's part of the loss: normalisers of its own positions, logits of its own rows.
  double loss(const Sums& here, const Sums& all, Range own) const {
    const at::Tensor of_own = own.of(weight_A_);
    if (log_outside_) {
      const at::Tensor each = own.of(all.logits) - own.of(mixture(all));
      return (of_own * at::where(of_own > 0, each, 0)).sum().item<double>();
    }
    at::Tensor loss = (of_own * own.of(all.logits)).sum() - here.target_dot.sum() * (1 - objective_.alpha);
    if (objective_.labels != nullptr)
      loss -= (weight_A_ * here.label_dot * (here.label_maximum - all.labels).exp()).sum() * objective_.alpha;
    return loss.item<double>();
  }

 private:
  at::Tensor real(const SoftBlock& block) const { return block.p_bv.narrow(1, 0, softmax_.num_real(block.rows)); }
  static at::Tensor column(const at::Tensor& value_b, const at::Tensor& like) {
    return value_b.to(like.scalar_type()).unsqueeze(1);
  }

  /// out -= label_b alpha q + target_b (1 - alpha) target weight.
  void subtract_labels(at::Tensor& out, const SoftBlock& block, const at::Tensor& label_b, const at::Tensor& target_b,
                       const Sums& all) const {
    if (block.q_bv.defined()) {
      const at::Tensor of_q_b = label_b * (block.q_maximum_b.to(at::kDouble) - all.labels).exp();
      out.addcmul_(block.q_bv, column(of_q_b * -objective_.alpha, out));
    }
    const at::Tensor value_P =
        block.targets.weight_P * target_b.index_select(0, block.targets.position_P) * (objective_.alpha - 1);
    out.index_put_({block.targets.position_P, block.targets.row_P}, value_P.to(out.scalar_type()),
                   /*accumulate=*/true);
  }

  static void add_mixture(SoftBlock& block, const at::Tensor& p_bv) {
    const at::Tensor maximum_b = block.maximum_b.to(at::kDouble);
    at::Tensor sum_b = at::zeros_like(maximum_b);
    sum_b.index_add_(0, block.targets.position_P, block.targets.weight_P * block.targets.of(p_bv).to(at::kDouble));
    block.sums.of_targets = maximum_b + sum_b.log();
    if (!block.q_bv.defined()) return;
    const at::Tensor both_b = (block.q_bv * p_bv).sum(1, false, at::kDouble);
    block.sums.of_labels = maximum_b + block.q_maximum_b.to(at::kDouble) + both_b.log();
  }

  const BlockedSoftmax& softmax_;
  const SoftObjective& objective_;
  Pairs targets_, shown_;
  at::Tensor weight_A_;
  bool log_outside_;
};

/// The sums over the rows of all ranks.
Sums merge(Communicator& comm, const SoftObjective& objective, const Sums& here) {
  Sums all = here;
  std::vector<at::Tensor*> merged{&all.logits};
  if (objective.labels != nullptr) merged.push_back(&all.labels);
  if (objective.form == SoftForm::kLogOutside) merged.insert(merged.end(), {&all.of_targets, &all.of_labels});
  const int64_t A = all.logits.size(0);
  std::vector<at::Tensor> parts;
  for (const at::Tensor* part : merged) parts.push_back(*part);
  at::Tensor packed = at::cat(parts);
  comm.all_reduce(packed, ReduceOp::kLogSumExp);
  for (size_t n = 0; n < merged.size(); ++n) *merged[n] = packed.narrow(0, static_cast<int64_t>(n) * A, A);
  return all;
}

}  // namespace

HeadResult soft_item_softmax(Communicator& comm, const RowPartition& items, const at::Tensor& hidden_AD,
                             const at::Tensor& local_items, const Targets& targets, const HistoryTensors& histories,
                             const SoftObjective& objective, std::optional<LogitBlocks> blocks) {
  const at::NoGradGuard no_grad;
  const AllPositions all = gather_positions(comm, hidden_AD, targets);
  const HistoryTensors lists = gather_histories(comm, histories);
  if (objective.labels != nullptr) objective.labels->start(comm, lists);
  BlockedSoftmax softmax(all.hidden_AD, local_items, /*want_weight_gradient=*/true, blocks);
  const int64_t A = softmax.num_positions(), first = items.begin(comm.rank()), last = items.end(comm.rank());

  Pairs wanted = all_targets(all.flat, lists);
  const at::Tensor weight_A = weight_of_positions({wanted.position_P, wanted.row_P, wanted.weight_P}, A);
  if (objective.form == SoftForm::kLogOutside)
    wanted.weight_P = wanted.weight_P / weight_A.index_select(0, wanted.position_P);
  const SoftSoftmax soft(softmax, objective, wanted.of_rows(first, last),
                         shown_items(lists).of_rows(first, last).to(hidden_AD.device()), weight_A);

  // Pass 1 finds the normalisers; pass 2 makes the gradients of blocks that are kept or computed again. A block that
  // nobody else adds to is done with at once.
  const Sums here = Sums::none(A, softmax.sum_options());
  const bool at_once = comm.world_size() == 1 && softmax.whole_rows();
  std::vector<SoftBlock> kept;
  const auto add_gradient = [&](Range positions, SoftBlock block, const Sums& sums) {
    soft.make_gradient(positions, block, sums.of(positions));
    softmax.add_logit_gradient(positions, block.rows, block.p_bv);
  };
  softmax.for_each_block([&](Range positions) {
    softmax.for_each_rows([&](Range rows) {
      SoftBlock block = soft.block(positions, rows);
      here.of(positions).add(block.sums);
      if (at_once) return add_gradient(positions, std::move(block), here);
      if (softmax.may_keep()) kept.push_back(std::move(block));
    });
  });
  const Sums sums = merge(comm, objective, here);
  size_t next = 0;
  if (!at_once) {
    softmax.for_each_block([&](Range positions) {
      softmax.for_each_rows([&](Range rows) {
        add_gradient(positions, softmax.may_keep() ? std::exchange(kept[next++], {}) : soft.block(positions, rows),
                     sums);
      });
    });
  }

  at::Tensor own_gradient = at::empty(hidden_AD.sizes(), softmax.hidden_gradient().options());
  comm.reduce_scatter(own_gradient, softmax.hidden_gradient(), all.positions);
  return {soft.loss(here, sums, {all.first_position, hidden_AD.size(0)}), own_gradient.to(hidden_AD.scalar_type()),
          softmax.weight_gradient().to(residual_dtype(local_items.scalar_type()))};
}

}  // namespace cllm
