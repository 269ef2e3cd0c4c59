#include "model/nn/products.h"

#include <ATen/ops/addmm.h>
#include <ATen/ops/mm.h>

#include "model/kernels/compute_dtype.h"

namespace cllm {

at::Tensor product(const at::Tensor& a, const at::Tensor& b) {
  const at::ScalarType sums = residual_dtype(a.scalar_type());
  return a.is_cpu() || a.scalar_type() == sums ? at::mm(a, b) : at::mm(a, b, sums);
}

void add_product(at::Tensor& sum, const at::Tensor& a, const at::Tensor& b) {
  if (a.scalar_type() == sum.scalar_type()) {
    sum.addmm_(a, b);
  } else if (a.is_cpu()) {
    sum.add_(at::mm(a, b));
  } else {
    at::addmm_out(sum, sum, a, b, sum.scalar_type());
  }
}

}  // namespace cllm
