#pragma once

#include <ATen/core/Tensor.h>

namespace cllm {

/// The inverse of a symmetric positive definite fp64 matrix [J, J] by Cholesky (LAPACK potrf, potri): J^3 operations.
/// At its most two matrices are in memory if the caller moves the only reference in. Throws ModelError if it is not
/// positive definite.
at::Tensor inverse_of_positive(at::Tensor matrix_JJ);

}  // namespace cllm
