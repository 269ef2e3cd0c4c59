#include "model/recommenders/closed_form/inverse.h"

#include <ATen/ops/cholesky_inverse.h>
#include <ATen/ops/linalg_cholesky_ex.h>

#include <string>

#include "model/errors.h"

namespace cllm {

at::Tensor inverse_of_positive(at::Tensor matrix_JJ) {
  TORCH_CHECK(matrix_JJ.scalar_type() == at::kDouble, "matrices are inverted in fp64");
  const int64_t J = matrix_JJ.size(0);
  auto [factor, info] = at::linalg_cholesky_ex(matrix_JJ);
  matrix_JJ.reset();
  if (const int minor = info.item<int>(); minor != 0) {
    throw ModelError("the Gram matrix of " + std::to_string(J) + " items is not positive definite (leading minor " +
                     std::to_string(minor) + "): choose a larger lambda");
  }
  return at::cholesky_inverse(factor);
}

}  // namespace cllm
