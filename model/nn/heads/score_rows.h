#pragma once

// Rows of one head in the residual dtype R: its queries, keys and values, and its scores. For one source file, so that
// every instruction set's clone stays inside of it.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>

#include "model/kernels/cpu/cpu_math.h"
#include "model/nn/dropout.h"

namespace cllm::heads {
namespace {

/// to [n, width] = (from + bias) * scale, converted.
template <class R, class C>
CLLM_SIMD_CLONES void load_rows(R* to, const C* from, int64_t from_stride, std::array<int64_t, 2> shape, const R* bias,
                                R scale) {
  for (int64_t i = 0; i < shape[0]; ++i) {
    CLLM_SIMD
    for (int64_t d = 0; d < shape[1]; ++d)
      to[i * shape[1] + d] = (static_cast<R>(from[i * from_stride + d]) + bias[d]) * scale;
  }
}

template <class R, class C>
CLLM_SIMD_CLONES void store_rows(C* to, int64_t to_stride, const R* from, std::array<int64_t, 2> shape, R scale) {
  for (int64_t i = 0; i < shape[0]; ++i) {
    CLLM_SIMD
    for (int64_t d = 0; d < shape[1]; ++d) to[i * to_stride + d] = cpu::convert<C>(from[i * shape[1] + d] * scale);
  }
}

/// Places of the keys that a row of scores sees; `length`: of the row.
struct Visible {
  int64_t begin, end, length;
};

template <class R>
void clear_hidden(R* row, Visible keys) {
  std::fill(row, row + keys.begin, R(0));
  std::fill(row + keys.end, row + keys.length, R(0));
}

/// Scores of the visible keys -> probabilities; the rest of the row becomes 0. Returns the log of the sum of
/// exponentials.
template <class R>
CLLM_SIMD_CLONES R softmax_row(R* row, Visible keys) {
  R top = row[keys.begin], sum = 0;
  CLLM_SIMD_MAX(top)
  for (int64_t s = keys.begin; s < keys.end; ++s) top = row[s] > top ? row[s] : top;
  CLLM_SIMD_SUM(sum)
  for (int64_t s = keys.begin; s < keys.end; ++s) {
    row[s] = cpu::fast_exp(row[s] - top);
    sum += row[s];
  }
  const R inverse = R(1) / sum;
  CLLM_SIMD
  for (int64_t s = keys.begin; s < keys.end; ++s) row[s] *= inverse;
  clear_hidden(row, keys);
  return top + std::log(sum);
}

/// The same probabilities again from the saved log-sum-exp.
template <class R>
CLLM_SIMD_CLONES void probability_row(R* row, R lse, Visible keys) {
  CLLM_SIMD
  for (int64_t s = keys.begin; s < keys.end; ++s) row[s] = cpu::fast_exp(row[s] - lse);
  clear_hidden(row, keys);
}

/// out = mask(in) * scale on the visible part, by the keys' places in the sequence, of which the row's first is
/// `first`; out may be in.
template <class R>
CLLM_SIMD_CLONES void drop_row(R* out, const R* in, DropoutMask::Row mask, R scale, Visible keys, int64_t first) {
  CLLM_SIMD
  for (int64_t s = keys.begin; s < keys.end; ++s)
    out[s] = mask.keeps(static_cast<uint32_t>(first + s)) ? in[s] * scale : R(0);
}

/// gradient of the probabilities -> gradient of the scores, in place: p * (g - sum p g).
template <class R>
CLLM_SIMD_CLONES void softmax_gradient_row(R* gradient, const R* probability, Visible keys) {
  R sum = 0;
  CLLM_SIMD_SUM(sum)
  for (int64_t s = keys.begin; s < keys.end; ++s) sum += gradient[s] * probability[s];
  CLLM_SIMD
  for (int64_t s = keys.begin; s < keys.end; ++s) gradient[s] = probability[s] * (gradient[s] - sum);
  clear_hidden(gradient, keys);
}

}  // namespace
}  // namespace cllm::heads
