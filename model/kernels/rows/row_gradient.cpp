#include "model/kernels/rows/row_gradient.h"

#include "model/kernels/compute_dtype.h"

namespace cllm::kernels {

void check_parts(const RowGradient& gradient, const at::Tensor& weight) {
  const auto& [rows_M, parts_PD, segments, head_ID, fixed_ND, pull_M, sum_M] = gradient;
  const int64_t M = rows_M.size(0);
  const auto fits = [&](const at::Tensor& rows) {
    return rows.is_contiguous() && rows.scalar_type() == residual_dtype(weight.scalar_type()) && rows.dim() == 2 &&
           rows.size(1) == weight.size(1);
  };
  TORCH_CHECK(fits(parts_PD),
              "gradients are rows of the table's width, fp64 for an fp64 table and fp32 for all others");
  const int64_t num_sums = segments ? segments->num_rows() : parts_PD.size(0);
  TORCH_CHECK(num_sums == M, "one gradient per touched row: ", num_sums, " for ", M, " rows");
  TORCH_CHECK(!head_ID.defined() || (fits(head_ID) && head_ID.size(0) <= M),
              "the head's gradients are those of some of the rows");
  TORCH_CHECK(fixed_ND.defined() == pull_M.defined(), "fixed_ND and pull_M come together");
  TORCH_CHECK(!fixed_ND.defined() || (fixed_ND.is_contiguous() && fixed_ND.sizes() == weight.sizes() &&
                                      fixed_ND.scalar_type() == weight.scalar_type()),
              "the fixed side has the shape and dtype of the table");
  for (const at::Tensor& per_row : {pull_M, sum_M}) {
    TORCH_CHECK(!per_row.defined() || (per_row.is_contiguous() && per_row.scalar_type() == parts_PD.scalar_type() &&
                                       per_row.sizes() == at::IntArrayRef{M}),
                "pull_M and sum_M have one number per touched row, in the dtype of the gradients");
  }
}

}  // namespace cllm::kernels
