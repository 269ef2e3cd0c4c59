#pragma once

// The device side of model/nn: dropout, GELU and norms. All functions work on the current stream and never wait for it;
// the same call on the same inputs gives the same bits. In a build without CUDA they throw. Letters: T tokens, D and F
// widths (a multiple of 8; a row is read in 16-byte words).

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace cllm::kernels::cuda {

/// x times the mask of model/nn/dropout.h for (keys_T, rate, salt, group); x [T, D] fp32, fp64 or bf16, keys_T int64
/// [T]. Its own backward.
at::Tensor dropout(const at::Tensor& x_TD, const at::Tensor& keys_T, double rate, uint64_t salt, int64_t group = 0);

/// gelu(h + bias), or with a gradient its product with the slope there. h, gradient [T, F] in the compute dtype; bias
/// [F] in the residual dtype (fp32; fp64 for fp64). tanh_form: gelu_new.
at::Tensor bias_gelu(const at::Tensor& h_TF, const at::Tensor& bias_F, bool tanh_form, const at::Tensor& gradient_TF);

/// x' = x + dropout(y + bias); n = layer_norm(x'), one pass over a row. x', mean, inverse, bias, gamma, beta in the
/// residual dtype, y and n in the compute dtype; mean and inverse: one number per token.
struct NormCall {
  at::Tensor gamma_D, beta_D;
  double epsilon;
  at::Tensor keys_T = {};  // as for dropout(); undefined: off
  double rate = 0;
  uint64_t salt = 0;
};
struct NormTensors {
  at::Tensor sum_TD, normed_TD, mean_T, inverse_T;
};
void add_norm(const NormTensors& out, const at::Tensor& x_TD, const at::Tensor& y_TD, const at::Tensor& bias_D,
              const NormCall& call);
/// Its gradients in x and y from those of n (in saved.normed_TD) and of x' (undefined: zero). grad_y undefined: it is
/// grad_x.
void add_norm_backward(const at::Tensor& grad_x_TD, const at::Tensor& grad_y_TD, const NormTensors& saved,
                       const at::Tensor& grad_sum_TD, const NormCall& call);

}  // namespace cllm::kernels::cuda
