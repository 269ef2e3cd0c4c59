#include "model/nn/products.h"

#include <ATen/ops/addmm.h>
#include <ATen/ops/mm.h>

#include "model/kernels/compute_dtype.h"
#include "model/nn/few_sizes.h"

namespace cllm {

at::Tensor rounded_product(const at::Tensor& a, const at::Tensor& b) {
  return is_compiled_for_size(a) ? at::mm(filled_rows(a), b).narrow(0, 0, a.size(0)) : at::mm(a, b);
}

at::Tensor product(const at::Tensor& a, const at::Tensor& b) {
  const at::ScalarType sums = residual_dtype(a.scalar_type());
  return a.is_cpu() || a.scalar_type() == sums ? rounded_product(a, b) : at::mm(a, b, sums);
}

void add_product(at::Tensor& sum, const at::Tensor& a, const at::Tensor& b) {
  if (a.scalar_type() == sum.scalar_type()) {
    sum.addmm_(a, b);
  } else if (a.is_cpu()) {
    sum.add_(at::mm(filled_rows(a.t()).t(), filled_rows(b)));
  } else {
    at::addmm_out(sum, sum, a, b, sum.scalar_type());
  }
}

}  // namespace cllm
