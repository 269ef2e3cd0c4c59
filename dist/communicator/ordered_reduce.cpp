#include "dist/communicator/ordered_reduce.h"

#include <ATen/ops/add.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/maximum.h>
#include <ATen/ops/minimum.h>

#include <cmath>

namespace cllm {
namespace {

/// total = one (op) other; `total` may be one of them.
void combine(at::Tensor& total, const at::Tensor& one, const at::Tensor& other, ReduceOp op) {
  switch (op) {
    case ReduceOp::kSum: at::add_out(total, one, other); break;
    case ReduceOp::kMax: at::maximum_out(total, one, other); break;
    case ReduceOp::kMin: at::minimum_out(total, one, other); break;
    case ReduceOp::kLogSumExp: TORCH_CHECK(false, "all parts at once");
  }
}

/// The exponentials are taken below the largest part and summed in rank order. A part that is alone comes out as it is.
void log_sum_exp(at::Tensor& out, const at::Tensor& parts) {
  TORCH_CHECK(parts.scalar_type() == at::kFloat || parts.scalar_type() == at::kDouble,
              "log sum exp is of fp32 or fp64");
  at::Tensor top = parts.amax({0});
  top.masked_fill_(top.eq(-INFINITY), 0);  // no term anywhere: log 0
  at::Tensor sum = parts.select(0, 0).sub(top).exp_();
  for (int64_t rank = 1; rank < parts.size(0); ++rank) sum.add_(parts.select(0, rank).sub(top).exp_());
  at::add_out(out, sum.log_(), top);
}

}  // namespace

void reduce_in_rank_order(at::Tensor& out, const at::Tensor& parts, ReduceOp op) {
  if (op == ReduceOp::kLogSumExp) return log_sum_exp(out, parts);
  const bool widen = op == ReduceOp::kSum && (out.scalar_type() == at::kBFloat16 || out.scalar_type() == at::kHalf);
  const auto part = [&](int64_t rank) { return widen ? parts.select(0, rank).to(at::kFloat) : parts.select(0, rank); };
  at::Tensor total = widen ? at::empty(out.sizes(), out.options().dtype(at::kFloat)) : out;
  if (parts.size(0) == 1) {
    total.copy_(part(0));
  } else {
    combine(total, part(0), part(1), op);
  }
  for (int64_t rank = 2; rank < parts.size(0); ++rank) combine(total, total, part(rank), op);
  if (widen) out.copy_(total);
}

}  // namespace cllm
