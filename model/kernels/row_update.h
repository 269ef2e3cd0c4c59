#pragma once

// The inner loops of the row optimisers: one pass over the touched rows, nothing else of the table is read or written.
// On a GPU they are the kernels of cuda.h (D a multiple of 8 there).
// Letters: M touched rows, D width. Tensors are contiguous, on one device, fp32 or fp64, or with a bf16 weight and all
// the rest fp32: then a row is updated in fp32 and rounded once per call. rows_M int64, distinct, ascending.

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "model/kernels/row_gradient.h"

namespace cllm::kernels {

/// Adam's constants and the place in time of one call.
struct AdamCall {
  double learning_rate, beta1, beta2, epsilon;
  int64_t step;  // number of the update, from 1
};

/// How the updated rows of a bf16 table are rounded. With a key: up with the probability of the part that is dropped,
/// so that the mean of many small updates is not lost (stochastic rounding; Gupta et al. 2015, "Deep learning with
/// limited numerical precision"). The draws are a function of (key, global row, column): mix64(key + row D + d - d mod
/// 4) has those of four columns, 16 bits each.
struct Rounding {
  uint64_t key = 0;                        // 0: to nearest
  int64_t num_users = 0;                   // local rows before this one are users: global row = local row + user_shift,
  int64_t user_shift = 0, item_shift = 0;  // the others items: + item_shift
};

/// Applies to every row the updates row_step + 1 .. step that it missed, each with gradient 0 and its own number:
///   m <- m + (1 - b1)(0 - m);   v <- b2 v;   w <- w - lr/(1 - b1^t) m / (sqrt(v)/sqrt(1 - b2^t) + eps)
/// and sets row_step = step. All rows if `rows_M` is undefined. weight, m, v: [rows, D]; row_step: int32 [rows].
void adam_catch_up(const at::Tensor& weight, const at::Tensor& m, const at::Tensor& v, const at::Tensor& row_step,
                   const at::Tensor& rows_M, const AdamCall& call, const Rounding& rounding = {});

/// adam_catch_up to step - 1, then update number `step` with the gradients, in one pass. With row_step undefined the
/// rows have missed nothing (lazy Adam).
void adam_update(const at::Tensor& weight, const at::Tensor& m, const at::Tensor& v, const at::Tensor& row_step,
                 const RowGradient& gradient, const AdamCall& call, const Rounding& rounding = {});

/// a <- a + mean_D(g^2);  w <- w - lr g / (sqrt(a) + eps), one accumulator per row: accumulator [rows].
void rowwise_adagrad_update(const at::Tensor& weight, const at::Tensor& accumulator, const RowGradient& gradient,
                            double learning_rate, double epsilon, const Rounding& rounding = {});

/// w <- w - lr g
void sgd_update(const at::Tensor& weight, const RowGradient& gradient, double learning_rate,
                const Rounding& rounding = {});

}  // namespace cllm::kernels
