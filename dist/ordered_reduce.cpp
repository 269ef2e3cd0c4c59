#include "dist/ordered_reduce.h"

#include <ATen/ops/add.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/maximum.h>
#include <ATen/ops/minimum.h>

namespace cllm {
namespace {

/// total = one (op) other; `total` may be one of them.
void combine(at::Tensor& total, const at::Tensor& one, const at::Tensor& other, ReduceOp op) {
  switch (op) {
    case ReduceOp::kSum: at::add_out(total, one, other); break;
    case ReduceOp::kMax: at::maximum_out(total, one, other); break;
    case ReduceOp::kMin: at::minimum_out(total, one, other); break;
  }
}

}  // namespace

void reduce_in_rank_order(at::Tensor& out, const at::Tensor& parts, ReduceOp op) {
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
