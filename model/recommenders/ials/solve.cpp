#include "model/recommenders/ials/solve.h"

#include <ATen/ops/addmm.h>
#include <ATen/ops/cholesky_solve.h>
#include <ATen/ops/linalg_cholesky_ex.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>

#include <cmath>
#include <string>

#include "model/errors.h"

namespace cllm {

double LeastSquares::ridge(int64_t observed) const {
  return lambda * std::pow(static_cast<double>(observed) + alpha0 * static_cast<double>(num_others), nu);
}

at::Tensor solve_row(const LeastSquares& problem, const at::Tensor& observed_nD) {
  const int64_t n = observed_nD.size(0), D = observed_nD.size(1);
  if (n == 0) return at::zeros({D}, at::kDouble);
  at::Tensor system = at::addmm(problem.others_DD, observed_nD.t(), observed_nD, problem.alpha0);
  system.diagonal().add_(problem.ridge(n));
  const auto [factor, info] = at::linalg_cholesky_ex(system);
  if (info.item<int>() != 0) {
    throw ModelError("ials: a row with " + std::to_string(n) +
                     " items has no solution (not positive definite): raise ials.lambda");
  }
  return at::cholesky_solve(observed_nD.sum(0).unsqueeze(1), factor).squeeze(1);
}

}  // namespace cllm
