#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace cllm {

/// What one side's rows are solved with; D the width.
struct LeastSquares {
  at::Tensor others_DD;  // fp64, H^T H of all rows of the other side
  double alpha0 = 0, lambda = 0, nu = 1;
  int64_t num_others = 0;

  /// lambda (n + alpha0 * num_others)^nu of a row with n observed pairs.
  double ridge(int64_t observed) const;
};

/// The row w [D] fp64 of least sum over observed h of (w.h - 1)^2 + alpha0 sum over all h of (w.h)^2 + ridge |w|^2:
/// (alpha0 H^T H + sum h h^T + ridge) w = sum h, by Cholesky. observed_nD: fp64, any n. Local; thread-safe.
at::Tensor solve_row(const LeastSquares& problem, const at::Tensor& observed_nD);

}  // namespace cllm
