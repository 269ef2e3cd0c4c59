#pragma once

#include <ATen/core/Tensor.h>

namespace cllm {

enum class Gate { kSilu, kGeluTanh };

/// act(gate) * up [T, F], all in the compute dtype (fp32, fp64, or bf16 that is computed in fp32). Differentiable in
/// both; saves both. One pass.
at::Tensor gated(const at::Tensor& gate_TF, const at::Tensor& up_TF, Gate gate);

}  // namespace cllm
