#pragma once

#include <ATen/core/Tensor.h>

#include "dist/communicator/communicator.h"

namespace cllm {

/// out [n] = parts [R, n] reduced over R in ascending order, so that the result does not depend on how the parts
/// travelled. bfloat16 and half are summed in float and rounded once. kLogSumExp: fp32 or fp64.
void reduce_in_rank_order(at::Tensor& out, const at::Tensor& parts, ReduceOp op);

}  // namespace cllm
