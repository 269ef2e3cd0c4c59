#pragma once

// The parts of a transformer block for tensors on a GPU, with the contracts of attention.h, add_norm.h and gelu.h, made of libtorch's
// operators; all are differentiable by autograd. Callers use those headers, which come here when their tensors are on a GPU.

#include <ATen/core/Tensor.h>

#include <utility>

#include "model/add_norm.h"
#include "model/backbone.h"
#include "model/dropout.h"
#include "model/gpt2_config.h"

namespace cllm::device {

/// bf16: flash attention over the packed sequences; its dropout draws from libtorch's generator, not from the site's keys. fp32 and
/// fp64: sequence by sequence with the whole matrix of scores, exact, with the site's mask: for tests and small models.
at::Tensor causal_attention(const at::Tensor& qkv_T3D, const at::Tensor& bias_3D, const PackedLayout& layout, int64_t num_heads,
                            const DropoutSite& site);

std::pair<at::Tensor, at::Tensor> add_and_norm(const at::Tensor& x_TD, const at::Tensor& y_TD, const at::Tensor& bias_D,
                                               const Norm& norm, const DropoutSite& site);
at::Tensor norm_only(const at::Tensor& x_TD, const Norm& norm, at::ScalarType compute);
at::Tensor bias_gelu(const at::Tensor& h_TF, const at::Tensor& bias_F, Activation activation);
at::Tensor dropout(const at::Tensor& x_TD, const DropoutSite& site);

}  // namespace cllm::device
