#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/repeat_interleave.h>
#include <ATen/ops/zeros.h>

#include "dist/rows/row_exchange.h"
#include "model/kernels/rows/row_gradient.h"

namespace cllm::testing {

/// What an optimiser makes of the parts of a gradient: [M, D]. `weight`: the table whose rows they are.
inline at::Tensor gradient_sum(const kernels::RowGradient& gradient, const at::Tensor& weight) {
  const int64_t M = gradient.rows_M.size(0);
  at::Tensor sum_MD = gradient.parts_PD.clone();
  if (gradient.segments) {
    const auto& [order_T, offsets_M1, begin, end, piece_offsets] = *gradient.segments;
    sum_MD = at::zeros({M, weight.size(1)}, gradient.parts_PD.options());
    sum_MD.index_add_(0, at::repeat_interleave(offsets_M1.diff()), gradient.parts_PD.index_select(0, order_T));
  }
  if (gradient.head_ID.defined())
    sum_MD.narrow(0, M - gradient.head_ID.size(0), gradient.head_ID.size(0)).add_(gradient.head_ID);
  if (gradient.fixed_ND.defined()) {
    const auto rows_of = [&](const at::Tensor& table) {
      return table.index_select(0, gradient.rows_M).to(sum_MD.scalar_type());
    };
    sum_MD += gradient.pull_M.unsqueeze(1) * (rows_of(weight) - rows_of(gradient.fixed_ND));
  }
  return sum_MD;
}

/// The gradients of this rank's touched rows, [M, D], summed in rank order. Collective.
inline at::Tensor returned_sums(RowExchange& exchange, const Route& route, const at::Tensor& gradients_UD) {
  const GradientParts parts = exchange.finish_return(route, exchange.start_return(route, gradients_UD));
  if (!parts.row_of_P.defined()) return parts.values_PD;
  return cpu_row_kernels().sum(parts.values_PD, parts.row_of_P, route.touched_local_M.size(0));
}

}  // namespace cllm::testing
