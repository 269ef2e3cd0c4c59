#pragma once

// What the loops of row_update_cpu.cpp walk over: rows of weights to read and write, and the sums of their gradients.

#include <c10/util/BFloat16.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <vector>

#include "data/random.h"
#include "model/kernels/cpu/cpu_math.h"
#include "model/kernels/cpu/vector_clones.h"
#include "model/kernels/rows/row_update.h"

namespace cllm::kernels {

// Loops over a row are CLLM_SIMD: otherwise the compiler may choose between two loops by where the memory lies, with
// products and sums fused differently, and the same run would not give the same bits.

/// What the loops need. W: type of the weights, T: of all the rest.
template <typename W, typename T>
struct RowLoop {
  W* weight;
  T* numbers[kMostStates];  // state per row, and
  T* columns[kMostStates];  // as wide as it, in the rule's order
  int32_t* row_step;        // null: rows miss nothing
  const int64_t* rows;      // null: row n is row n
  const T* parts;
  const int64_t *order, *offsets;  // null: part n is row n's
  const T* head;
  int64_t first_of_head;  // row n
  const W* fixed;
  const T* pull;  // null: none
  T* sum;
  int64_t D;
  RowCall call;
  int64_t visible_updates;  // of a rule that moves absent rows
  Rounding rounding;
};

/// fp32 -> bf16, up with the probability of the dropped part: 16 random bits are added below the kept ones. NaN and Inf
/// pass.
CLLM_INLINE at::BFloat16 round_stochastically(float value, uint64_t random16) {
  const auto bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7F800000U) == 0x7F800000U) return at::BFloat16(value);
  return {static_cast<unsigned short>((bits + static_cast<uint32_t>(random16)) >> 16), at::BFloat16::from_bits()};
}

/// Writes a row of D weights as `rounding` says; `row` is local.
CLLM_INLINE void round_row(const float* from, at::BFloat16* to, int64_t D, const Rounding& rounding, int64_t row) {
  if (rounding.key == 0) {
    std::copy(from, from + D, to);
    return;
  }
  int64_t shift = rounding.shift[0];
  for (int group = 1; group < Rounding::kMaxGroups; ++group) {
    if (row >= rounding.first[group]) shift = rounding.shift[group];
  }
  const int64_t global = row + shift;
  const uint64_t key = rounding.key + static_cast<uint64_t>(global * D);
  for (int64_t first = 0; first < D; first += 4) {
    const uint64_t random = mix64(key + static_cast<uint64_t>(first));
    for (int64_t d = first; d < std::min(first + 4, D); ++d) {
      to[d] = round_stochastically(from[d], (random >> (16 * (d - first))) & 0xFFFF);
    }
  }
}

/// The weights of one row after the other, to read and write in T between open() and close(): the table's own memory.
template <typename W, typename T>
class RowWeights {
 public:
  explicit RowWeights(const RowLoop<W, T>& loop) : loop_(loop) {}
  T* open(int64_t row) { return loop_.weight + row * loop_.D; }
  void close(int64_t) {}

 private:
  const RowLoop<W, T>& loop_;
};

/// Of a bf16 table: a copy in fp32, which close() rounds.
template <>
class RowWeights<at::BFloat16, float> {
 public:
  explicit RowWeights(const RowLoop<at::BFloat16, float>& loop) : loop_(loop), copy_(static_cast<size_t>(loop.D)) {}
  float* open(int64_t row) {
    std::copy_n(loop_.weight + row * loop_.D, loop_.D, copy_.data());
    return copy_.data();
  }
  void close(int64_t row) { round_row(copy_.data(), loop_.weight + row * loop_.D, loop_.D, loop_.rounding, row); }

 private:
  const RowLoop<at::BFloat16, float>& loop_;
  std::vector<float> copy_;
};

/// The gradients of one row after the other.
template <typename W, typename T>
class RowSums {
 public:
  explicit RowSums(const RowLoop<W, T>& loop) : loop_(loop), sum_(static_cast<size_t>(loop.D)) {}

  /// Of row n of the call, which is `row` of the table and has the weights w now.
  CLLM_INLINE const T* of(int64_t n, int64_t row, const T* w) {
    const T* const g = add_up(n, row, w);
    if (loop_.sum != nullptr) loop_.sum[n] = total(g);
    return g;
  }

 private:
  CLLM_INLINE const T* add_up(int64_t n, int64_t row, const T* w) {
    const int64_t begin = loop_.offsets != nullptr ? loop_.offsets[n] : n,
                  end = loop_.offsets != nullptr ? loop_.offsets[n + 1] : n + 1;
    const auto part = [this](int64_t p) {
      return loop_.parts + (loop_.order != nullptr ? loop_.order[p] : p) * loop_.D;
    };
    const T* const head = n >= loop_.first_of_head ? loop_.head + (n - loop_.first_of_head) * loop_.D : nullptr;
    const T pull = loop_.pull != nullptr ? loop_.pull[n] : T(0);
    if (pull == 0 && head == nullptr && end - begin == 1) return part(begin);
    if (pull == 0 && head != nullptr && end == begin) return head;
    std::fill(sum_.begin(), sum_.end(), T(0));
    for (int64_t p = begin; p < end; ++p) add(part(p));
    if (head != nullptr) add(head);
    if (pull != 0) add_pull(pull, w, loop_.fixed + row * loop_.D);
    return sum_.data();
  }

  CLLM_INLINE void add(const T* __restrict part) {
    T* __restrict sum = sum_.data();
    CLLM_SIMD
    for (int64_t d = 0; d < loop_.D; ++d) sum[d] += part[d];
  }

  CLLM_INLINE void add_pull(T pull, const T* __restrict w, const W* __restrict fixed) {
    T* __restrict sum = sum_.data();
    CLLM_SIMD
    for (int64_t d = 0; d < loop_.D; ++d) sum[d] += pull * (w[d] - static_cast<T>(fixed[d]));
  }

  CLLM_INLINE T total(const T* __restrict g) const {
    T sum = 0;
    CLLM_SIMD_SUM(sum)
    for (int64_t d = 0; d < loop_.D; ++d) sum += g[d];
    return sum;
  }

  const RowLoop<W, T>& loop_;
  std::vector<T> sum_;
};

}  // namespace cllm::kernels
