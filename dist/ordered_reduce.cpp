#include "dist/ordered_reduce.h"

#include <ATen/ops/add.h>
#include <ATen/ops/maximum.h>
#include <ATen/ops/minimum.h>

namespace cllm {
namespace {

void accumulate(at::Tensor& total, const at::Tensor& part, ReduceOp op) {
  switch (op) {
    case ReduceOp::kSum: total.add_(part); break;
    case ReduceOp::kMax: at::maximum_out(total, total, part); break;
    case ReduceOp::kMin: at::minimum_out(total, total, part); break;
  }
}

}  // namespace

void reduce_in_rank_order(at::Tensor& out, const at::Tensor& parts, ReduceOp op) {
  const bool widen = op == ReduceOp::kSum && (out.scalar_type() == at::kBFloat16 || out.scalar_type() == at::kHalf);
  at::Tensor total = widen ? parts.select(0, 0).to(at::kFloat) : out.copy_(parts.select(0, 0));
  for (int64_t rank = 1; rank < parts.size(0); ++rank) accumulate(total, parts.select(0, rank), op);
  if (widen) out.copy_(total);
}

}  // namespace cllm
