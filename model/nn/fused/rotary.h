#pragma once

// Letters: T tokens, h width of a head.

#include <ATen/core/Tensor.h>

#include "model/nn/fused/rms_norm.h"

namespace cllm {

/// What rotates a head's halves against each other (Su et al. 2021): cos and sin [T, h / 2] of every token's angles, in
/// the dtype of the residual stream.
struct Angles {
  at::Tensor cos, sin;
};

/// Every head [h] of `x` [T, heads * h] (compute dtype) normed, where there is a norm [h], and rotated; the same shape
/// and dtype, computed in the residual dtype. Differentiable in x and the norm's weight.
at::Tensor norm_and_rotate(const at::Tensor& x, const RmsNorm& norm, const Angles& angles);

}  // namespace cllm
