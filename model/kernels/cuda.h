#pragma once

// The device side of the kernels: what model/kernels/*.h declare, for CUDA tensors. Callers above do not include this
// file: the functions of those headers come here when their tensors are on a CUDA device. In a build without CUDA every
// function throws. Letters: N rows of a table, U and M rows of one call, T contributions, D width (a multiple of 8; a
// row is read in 16-byte words). All functions work on the current stream and never wait for it. Table weights: fp32,
// fp64 or bf16; everything else fp32 (fp64 for an fp64 table). The same call on the same inputs gives the same bits.

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "model/kernels/row_segments.h"
#include "model/kernels/row_update.h"
#include "model/kernels/softmax_block.h"

namespace cllm::kernels::cuda {

/// False in a build without CUDA.
bool built();

/// table_ND[rows_U]: [U, D], any dtype; rows_U int64.
at::Tensor gather_rows(const at::Tensor& table_ND, const at::Tensor& rows_U);

/// out_ND[rows_K[k]] = source_KD[k], any dtype; distinct rows.
void scatter_rows(const at::Tensor& out_ND, const at::Tensor& rows_K, const at::Tensor& source_KD);

/// |a - b|^2 of rows of two tables of one shape and dtype: [C], fp32 (fp64 of fp64 tables).
at::Tensor square_gaps(const at::Tensor& a_ND, const at::Tensor& b_ND, const at::Tensor& rows_C);

/// Sum of the contributions of every row: values_TD [T, D] fp32 or fp64 -> [M, D].
at::Tensor segment_sum(const at::Tensor& values_TD, const RowSegments& segments);

/// softmax_block.h's functions. logits_bV may be a column range of a wider matrix: rows of cuBLAS output are padded to
/// whole words.
void exp_rows(const at::Tensor& logits_bV, const at::Tensor& maximum_b, const at::Tensor& sum_b);
void add_rows(const at::Tensor& out_ND, const at::Tensor& index_K, const at::Tensor& source_KD);
at::Tensor row_dots(const at::Tensor& a_ND, const at::Tensor& a_rows_K, const at::Tensor& b_VD,
                    const at::Tensor& b_rows_K);
void add_scaled_rows(const at::Tensor& out_ND, const at::Tensor& index_K, const ScaledRows& source);

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

/// row_update.h's functions: the sum of the gradient, the pull and the update in one pass over the rows.
void adam_catch_up(const at::Tensor& weight, const at::Tensor& m, const at::Tensor& v, const at::Tensor& row_step,
                   const at::Tensor& rows_M, const AdamCall& call, const Rounding& rounding = {});
void adam_update(const at::Tensor& weight, const at::Tensor& m, const at::Tensor& v, const at::Tensor& row_step,
                 const RowGradient& gradient, const AdamCall& call, const Rounding& rounding = {});
void rowwise_adagrad_update(const at::Tensor& weight, const at::Tensor& accumulator, const RowGradient& gradient,
                            double learning_rate, double epsilon, const Rounding& rounding = {});
void sgd_update(const at::Tensor& weight, const RowGradient& gradient, double learning_rate,
                const Rounding& rounding = {});

}  // namespace cllm::kernels::cuda
