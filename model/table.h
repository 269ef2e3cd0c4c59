#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "dist/row_partition.h"

namespace cllm {

/// This rank's rows of one side (collaborative `l` or content `c`): users first, then items (TableLayout), with the optimiser's state.
struct Table {
  TableLayout layout;
  at::Tensor weight;    // [local rows, D] fp32 or fp64
  at::Tensor moment1;   // [local rows, D] Adam m; undefined if the optimiser has none
  at::Tensor moment2;   // [local rows, D] Adam v, or [local rows] row-wise Adagrad accumulator; undefined if none
  at::Tensor row_step;  // int32 [local rows] updates that each row has had (skip-aware Adam)
  int64_t step = 0;     // updates of the table

  int64_t width() const { return weight.size(1); }
  at::Tensor users() const { return weight.narrow(0, 0, layout.num_local_users()); }
  at::Tensor items() const { return weight.narrow(0, layout.num_local_users(), layout.num_local_items()); }
};

}  // namespace cllm
