#include "model/losses/loss_term.h"

#include <ATen/ops/searchsorted.h>
#include <ATen/ops/zeros.h>

namespace cllm {

void add_pull(const RowPull& pull, kernels::RowGradient& gradient) {
  if (!pull.rows_C.defined()) return;
  const at::Tensor& rows_M = gradient.rows_M;
  const at::Tensor at_C = at::searchsorted(rows_M, pull.rows_C);
  const at::Tensor pull_C = pull.factors_C.to(gradient.parts_PD.scalar_type());
  gradient.pull_M = at::zeros({rows_M.size(0)}, pull_C.options()).index_copy_(0, at_C, pull_C);
  gradient.fixed_ND = pull.fixed_ND;
}

}  // namespace cllm
