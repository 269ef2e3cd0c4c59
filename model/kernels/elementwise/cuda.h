#pragma once

// The device side of model/nn: dropout, activations, norms and rotation. All functions work on the current stream and
// never wait for it; the same call on the same inputs gives the same bits. In a build without CUDA they throw. R: the
// residual dtype (fp32; fp64 for fp64), C: the compute dtype (R, or bf16 with fp32), in which all is computed in R.
// Letters: T tokens, D and F widths, h width of a head. Rows are read in 16-byte words: dropout, GELU and layer norm
// ask for a multiple of 8, the others go element by element where a row is not whole words.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <utility>

namespace cllm::kernels::cuda {

/// x times the mask of model/nn/dropout.h for (keys_T, rate, salt, group); x [T, D] fp32, fp64 or bf16, keys_T int64
/// [T]. Its own backward.
at::Tensor dropout(const at::Tensor& x_TD, const at::Tensor& keys_T, double rate, uint64_t salt, int64_t group = 0);

/// Which mask a function multiplies by on its way; undefined keys or rate 0: none.
struct Mask {
  at::Tensor keys_T = {};
  double rate = 0;
  uint64_t salt = 0;
};

/// gelu(h + bias), or with a gradient its product with the slope there. h, gradient [T, F] in the compute dtype; bias
/// [F] in the residual dtype (fp32; fp64 for fp64). tanh_form: gelu_new.
at::Tensor bias_gelu(const at::Tensor& h_TF, const at::Tensor& bias_F, bool tanh_form, const at::Tensor& gradient_TF);

/// x' = x + dropout(y + bias); n = layer_norm(x'), one pass over a row. x', mean, inverse, bias, gamma, beta in the
/// residual dtype, y and n in the compute dtype; mean and inverse: one number per token.
struct NormCall {
  at::Tensor gamma_D, beta_D;
  double epsilon;
  Mask mask = {};
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

/// act(gate) * up (Shazeer 2020), of any shape, in C. silu: act is x * sigmoid(x), otherwise gelu_new.
at::Tensor gated(const at::Tensor& gate, const at::Tensor& up, bool silu);
/// Its gradients in gate and up.
std::pair<at::Tensor, at::Tensor> gated_backward(const at::Tensor& gradient, const at::Tensor& gate,
                                                 const at::Tensor& up, bool silu);

/// x / sqrt(mean x^2 + epsilon) times w, or 1 + w, over a row (Zhang & Sennrich 2019). Undefined weight: no norm.
struct RmsWeight {
  at::Tensor weight = {};  // in R
  double epsilon = 0;
  bool offset = false;
};
/// x' = x + mask * post(y), n = next(x'), one pass over a row. x' in R, y and n in C; the inverse root mean squares of
/// y and x', one number per token, in R. y undefined: x' is x and is not written; no post: inverse_y is not.
struct RmsNormCall {
  RmsWeight post, next;
  Mask mask = {};
};
struct RmsNormTensors {
  at::Tensor sum_TD, normed_TD, inverse_T, inverse_y_T;
};
void add_rms_norm(const RmsNormTensors& out, const at::Tensor& x_TD, const at::Tensor& y_TD, const RmsNormCall& call);
/// Its gradients in x and y from those of n (in saved.normed_TD) and of x'; either may be undefined: zero. grad_y
/// undefined: not wanted, or the same as grad_x. y is read where there is a post.
void add_rms_norm_backward(const at::Tensor& grad_x_TD, const at::Tensor& grad_y_TD, const RmsNormTensors& saved,
                           const at::Tensor& y_TD, const at::Tensor& grad_sum_TD, const RmsNormCall& call);
/// The gradient of a norm's weight, [D] in R: the sum over the rows of mask * gradient * x * inverse. gradient and x
/// [T, D], each in R or C.
at::Tensor rms_weight_gradient(const at::Tensor& gradient_TD, const at::Tensor& x_TD, const at::Tensor& inverse_T,
                               const Mask& mask = {});

/// Every head of x [T, H h] normed where there is a norm of weight [h], and its halves rotated against each other (Su
/// et al. 2021) by the angles of its token, cos and sin [T, h / 2] in R. inverse [T, H] in R is written where there is
/// a norm.
struct RotaryCall {
  at::Tensor cos, sin;
  RmsWeight norm = {};
  at::Tensor inverse_TH = {};
};
at::Tensor norm_and_rotate(const at::Tensor& x, const RotaryCall& call);
/// Its gradient in x; x is read where there is a norm.
at::Tensor norm_and_rotate_backward(const at::Tensor& gradient, const at::Tensor& x, const RotaryCall& call);

}  // namespace cllm::kernels::cuda
