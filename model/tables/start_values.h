#pragma once

// Start values that are drawn element by element. Whatever the world size and the dtype, an element is the same draw:
// tensors are rounded from fp64.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>

#include "data/random.h"
#include "model/tables/table.h"

namespace cllm {

/// Column `column` of a row, whose columns are drawn in order.
using Draw = std::function<double(CounterRng& random, int64_t column)>;

/// A table without optimiser state whose row r is drawn from the stream (key, r).
Table make_drawn_table(const RowLayout& layout, int64_t width, at::ScalarType dtype, uint64_t key, const Draw& draw);

/// A tensor [rows, columns] whose row r is drawn from the stream (key, r). On the CPU.
at::Tensor drawn_rows(int64_t rows, int64_t columns, at::ScalarType dtype, uint64_t key, const Draw& draw);

/// Glorot & Bengio 2010: uniform within sqrt(6 / (fan_in + fan_out)), or normal of the same variance.
Draw xavier_uniform(int64_t fan_in, int64_t fan_out);
Draw xavier_normal(int64_t fan_in, int64_t fan_out);

/// Uniform within the bound.
Draw uniform(double bound);

/// Normal, drawn again where it is beyond two deviations.
Draw truncated_normal(double deviation);

}  // namespace cllm
