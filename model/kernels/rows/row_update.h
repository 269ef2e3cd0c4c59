#pragma once

// The inner loops of the row optimisers: one pass over the touched rows, nothing else of the table is read or written.
// The arithmetic is a rule's (rules/rule.h). On a GPU they are the kernels of cuda.h (D a multiple of 8 there).
// Letters: M touched rows, D width. Tensors are contiguous, on one device, fp32 or fp64, or with a bf16 weight and all
// the rest fp32: then a row is updated in fp32 and rounded once per call. rows_M int64, distinct, ascending.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <limits>
#include <vector>

#include "model/kernels/rows/row_gradient.h"
#include "model/kernels/rules/row_rule.h"

namespace cllm::kernels {

/// What of a table the loops work on.
struct RowTensors {
  at::Tensor weight;              // [rows, D]
  std::vector<at::Tensor> state;  // [rows, D] or [rows], as the rule lists it
  at::Tensor row_step = {};       // int32 [rows] updates that each row has had; read where rules move absent rows
};

/// How the updated rows of a bf16 table are rounded. With a key: up with the probability of the part that is dropped,
/// so that the mean of many small updates is not lost (stochastic rounding; Gupta et al. 2015, "Deep learning with
/// limited numerical precision"). The draws are a function of (key, global row, column): mix64(key + row D + d - d mod
/// 4) has those of four columns, 16 bits each.
struct Rounding {
  static constexpr int kMaxGroups = 4;
  static constexpr int64_t kNone = std::numeric_limits<int64_t>::max();

  uint64_t key = 0;  // 0: to nearest
  /// Groups of rows (dist/rows/row_layout.h): from local row first[g] on, global row = local row + shift[g].
  int64_t first[kMaxGroups] = {0, kNone, kNone, kNone}, shift[kMaxGroups] = {};
};

/// One update with the gradients, in one pass; before it, of a rule that moves absent rows, the updates row_step + 1 ..
/// step - 1 that each of them missed, and row_step = step after it.
void update_rows(const RowRule& rule, const RowTensors& table, const RowGradient& gradient, const RowCall& call,
                 const Rounding& rounding = {});

/// The updates row_step + 1 .. step that rows missed, each with gradient 0 and its own number, and row_step = step. All
/// rows if `rows_M` is undefined. The rule moves absent rows.
void catch_up_rows(const RowRule& rule, const RowTensors& table, const at::Tensor& rows_M, const RowCall& call,
                   const Rounding& rounding = {});

/// Throws c10::Error if the state is not the rule's for a table of these weights.
void check_state(const RowRule& rule, const RowTensors& table);

}  // namespace cllm::kernels
