#include "model/nn/pick_rows.h"

#include <ATen/ops/zeros.h>

#include "model/kernels/rows/rows.h"
#include "model/nn/differentiable.h"

namespace cllm {
namespace {

/// Backward knows that the rows are distinct.
struct PickedRows : Differentiable {
  int64_t num_rows;
  explicit PickedRows(int64_t T) : num_rows(T) {}

  Tensors forward(const Tensors& x_and_rows, Tensors& saved) const override {
    saved = {x_and_rows[1]};
    return {kernels::gather_rows(x_and_rows[0], x_and_rows[1])};
  }
  Tensors backward(const Saved& saved, const Tensors& gradients) const override {
    at::Tensor x_gradient_TD = at::zeros({num_rows, gradients[0].size(1)}, gradients[0].options());
    kernels::scatter_rows(x_gradient_TD, saved.tensors[0], gradients[0].contiguous());
    return {x_gradient_TD, {}};
  }
};

}  // namespace

at::Tensor pick_rows(const at::Tensor& x_TD, const at::Tensor& rows_A) {
  return apply(PickedRows(x_TD.size(0)), {x_TD.contiguous(), rows_A})[0];
}

}  // namespace cllm
