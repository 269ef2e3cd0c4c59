#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <utility>
#include <vector>

#include "dist/communicator/communicator.h"

namespace cllm {

/// One pass over memory: a sum is finite unless an element is not (or they overflow, which is as bad).
bool is_finite(const at::Tensor& tensor);

/// Sums .grad of parameters that every rank holds alike over the ranks, as one flat tensor; a parameter without
/// gradient counts as zeros, so a rank without samples takes part too. False: the sums are not finite. Collective.
bool sum_dense_gradients(Communicator& comm, const std::vector<std::pair<std::string, at::Tensor>>& parameters);

}  // namespace cllm
