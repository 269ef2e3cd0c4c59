#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <c10/util/BFloat16.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "model/kernels/cpu/vector_clones.h"
#include "model/kernels/softmax/cuda.h"
#include "model/kernels/softmax/softmax_block.h"

namespace cllm::kernels {
namespace {

constexpr int64_t kLanes = 16;  // independent partial sums: one AVX-512 register of fp32

/// exp(x) for x <= 0, relative error below 2e-7; 0x1p-126 instead of anything smaller. Cephes' expf: x = n ln 2 + r,
/// degree 5 in r.
CLLM_INLINE float exp_nonpositive(float x) {
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer, kept in the low bits
  x = x < -87.0f ? -87.0f : x;
  const float shifted = x * 1.44269504f + kRound;
  const float n = shifted - kRound;
  const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  const int32_t exponent = std::bit_cast<int32_t>(shifted) - std::bit_cast<int32_t>(kRound) + 127;
  return p * std::bit_cast<float>(exponent << 23);
}
CLLM_INLINE double exp_nonpositive(double x) { return std::exp(x); }

CLLM_INLINE float load(const float* x) { return *x; }
CLLM_INLINE double load(const double* x) { return *x; }
CLLM_INLINE float load(const uint16_t* x) { return std::bit_cast<float>(static_cast<uint32_t>(*x) << 16); }
CLLM_INLINE void store(float* x, float value) { *x = value; }
CLLM_INLINE void store(double* x, double value) { *x = value; }
CLLM_INLINE void store(uint16_t* x, float value) {  // round to nearest even; value is finite
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  *x = static_cast<uint16_t>((bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16);
}

constexpr int64_t kPiece = 256;  // elements in registers' reach at a time, in the precision of the arithmetic

/// A piece of a row in the precision of the arithmetic, filled up with -infinity, which changes neither the maximum nor
/// the sum.
template <typename T, typename S>
CLLM_INLINE void load_piece(const T* __restrict x, int64_t count, S* __restrict piece) {
  for (int64_t n = 0; n < count; ++n) piece[n] = load(x + n);
  for (int64_t n = count; n < kPiece; ++n) piece[n] = -std::numeric_limits<S>::infinity();
}

/// T: element of the block (uint16_t: bf16 bits), S: precision of the arithmetic.
template <typename T, typename S>
CLLM_INLINE void exp_row(T* __restrict x, int64_t V, S* maximum_out, S* sum_out) {
  S piece[kPiece], lanes[kLanes];
  for (int64_t n = 0; n < kLanes; ++n) lanes[n] = -std::numeric_limits<S>::infinity();
  for (int64_t v = 0; v < V; v += kPiece) {
    load_piece(x + v, std::min(kPiece, V - v), piece);
    for (int64_t m = 0; m < kPiece; m += kLanes) {
      for (int64_t n = 0; n < kLanes; ++n) lanes[n] = piece[m + n] > lanes[n] ? piece[m + n] : lanes[n];
    }
  }
  S maximum = lanes[0];
  for (int64_t n = 1; n < kLanes; ++n) maximum = lanes[n] > maximum ? lanes[n] : maximum;

  for (int64_t n = 0; n < kLanes; ++n) lanes[n] = 0;
  for (int64_t v = 0; v < V; v += kPiece) {
    const int64_t count = std::min(kPiece, V - v);
    load_piece(x + v, count, piece);
    for (int64_t n = 0; n < kPiece; ++n) piece[n] = exp_nonpositive(piece[n] - maximum);
    for (int64_t n = 0; n < count; ++n) store(x + v + n, piece[n]);
    for (int64_t n = count; n < kPiece; ++n) piece[n] = 0;
    for (int64_t m = 0; m < kPiece; m += kLanes) {
      for (int64_t n = 0; n < kLanes; ++n) lanes[n] += piece[m + n];
    }
  }
  S sum = 0;
  for (int64_t n = 0; n < kLanes; ++n) sum += lanes[n];
  *maximum_out = maximum;
  *sum_out = sum;
}

CLLM_VECTOR_CLONES void exp_range(float* x, int64_t V, float* maximum, float* sum, int64_t begin, int64_t end) {
  for (int64_t row = begin; row < end; ++row) exp_row(x + row * V, V, maximum + row, sum + row);
}
CLLM_VECTOR_CLONES void exp_range(uint16_t* x, int64_t V, float* maximum, float* sum, int64_t begin, int64_t end) {
  for (int64_t row = begin; row < end; ++row) exp_row(x + row * V, V, maximum + row, sum + row);
}
void exp_range(double* x, int64_t V, double* maximum, double* sum, int64_t begin, int64_t end) {
  for (int64_t row = begin; row < end; ++row) exp_row(x + row * V, V, maximum + row, sum + row);
}

template <typename T, typename S>
void exp_block(T* logits, const at::Tensor& logits_bV, const at::Tensor& maximum_b, const at::Tensor& sum_b) {
  const int64_t V = logits_bV.size(1);
  S* const maximum = maximum_b.mutable_data_ptr<S>();
  S* const sum = sum_b.mutable_data_ptr<S>();
  at::parallel_for(0, logits_bV.size(0), 4,
                   [&](int64_t begin, int64_t end) { exp_range(logits, V, maximum, sum, begin, end); });
}

template <typename T>
void add_rows_typed(at::Tensor& out, const at::Tensor& index_K, const at::Tensor& source_KD) {
  const int64_t K = index_K.size(0), D = out.size(1);
  const int64_t* const index = index_K.const_data_ptr<int64_t>();
  const T* const source = source_KD.const_data_ptr<T>();
  T* const target = out.mutable_data_ptr<T>();
  at::parallel_for(
      0, D, 128,
      [&](int64_t begin, int64_t end) {  // over columns: the order of the sums does not depend on the threads
        for (int64_t k = 0; k < K; ++k) {
          T* __restrict to = target + index[k] * D;
          const T* __restrict from = source + k * D;
          for (int64_t d = begin; d < end; ++d) to[d] += from[d];
        }
      });
}

/// Calls `use(first, count)` for some of K pairs after the other, whose rows are copied: memory does not grow with K.
template <typename Use>
void for_each_part(int64_t K, Use&& use) {
  constexpr int64_t kPairs = 4096;
  for (int64_t first = 0; first < K; first += kPairs) use(first, std::min(kPairs, K - first));
}

}  // namespace

void exp_rows(at::Tensor& logits_bV, at::Tensor maximum_b, at::Tensor sum_b) {
  if (!logits_bV.is_cpu()) return cuda::exp_rows(logits_bV, maximum_b, sum_b);
  TORCH_CHECK(logits_bV.is_cpu() && logits_bV.is_contiguous() && maximum_b.is_contiguous() && sum_b.is_contiguous());
  switch (logits_bV.scalar_type()) {
    case at::kFloat: return exp_block<float, float>(logits_bV.mutable_data_ptr<float>(), logits_bV, maximum_b, sum_b);
    case at::kDouble:
      return exp_block<double, double>(logits_bV.mutable_data_ptr<double>(), logits_bV, maximum_b, sum_b);
    case at::kBFloat16:
      return exp_block<uint16_t, float>(reinterpret_cast<uint16_t*>(logits_bV.mutable_data_ptr<at::BFloat16>()),
                                        logits_bV, maximum_b, sum_b);
    default: TORCH_CHECK(false, "softmax of ", logits_bV.scalar_type());
  }
}

at::Tensor row_dots(const at::Tensor& a_ND, const at::Tensor& a_rows_K, const at::Tensor& b_VD,
                    const at::Tensor& b_rows_K) {
  if (!a_ND.is_cpu()) return cuda::row_dots(a_ND, a_rows_K, b_VD, b_rows_K);
  const at::ScalarType sums = a_ND.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  at::Tensor out_K = at::empty({a_rows_K.size(0)}, a_ND.options().dtype(at::kDouble));
  for_each_part(a_rows_K.size(0), [&](int64_t first, int64_t count) {
    const at::Tensor a = a_ND.index_select(0, a_rows_K.narrow(0, first, count)).to(sums),
                     b = b_VD.index_select(0, b_rows_K.narrow(0, first, count)).to(sums);
    out_K.narrow(0, first, count).copy_((a * b).sum(1));
  });
  return out_K;
}

void add_scaled_rows(at::Tensor& out, const at::Tensor& index_K, const ScaledRows& source) {
  if (!out.is_cpu()) return cuda::add_scaled_rows(out, index_K, source);
  for_each_part(index_K.size(0), [&](int64_t first, int64_t count) {  // in the order of the pairs: the same bits
    const at::Tensor rows_kD = source.values_VD.index_select(0, source.rows_K.narrow(0, first, count));
    add_rows(out, index_K.narrow(0, first, count), rows_kD * source.scale_K.narrow(0, first, count).unsqueeze(1));
  });
}

void add_rows(at::Tensor& out, const at::Tensor& index_K, const at::Tensor& source_KD) {
  if (!out.is_cpu()) return cuda::add_rows(out, index_K, source_KD);
  TORCH_CHECK(out.is_cpu() && out.is_contiguous() && source_KD.is_contiguous() && index_K.is_contiguous() &&
              out.scalar_type() == source_KD.scalar_type() && source_KD.size(0) == index_K.size(0) &&
              source_KD.size(1) == out.size(1));
  out.scalar_type() == at::kFloat ? add_rows_typed<float>(out, index_K, source_KD)
                                  : add_rows_typed<double>(out, index_K, source_KD);
}

}  // namespace cllm::kernels
