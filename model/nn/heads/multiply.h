#pragma once

#include <array>
#include <cstdint>
#include <type_traits>

// libtorch exports its BLAS (MKL on x86-64, OpenBLAS on ARM) under the standard names. Inside a parallel region it runs
// on one thread.
extern "C" {
void sgemm_(const char*, const char*, const int*, const int*, const int*, const float*, const float*, const int*,
            const float*, const int*, const float*, float*, const int*);
void dgemm_(const char*, const char*, const int*, const int*, const int*, const double*, const double*, const int*,
            const double*, const int*, const double*, double*, const int*);
}

namespace cllm::heads {

/// A row-major matrix, or the transpose of one.
template <class F>
struct Operand {
  const F* data;
  int64_t stride;
  bool transposed = false;
};

/// C [m, n] = A [m, k] B [k, n] + beta C, row-major; C has row stride `stride`.
template <class F>
void multiply(F* c, int64_t stride, std::array<int64_t, 3> mnk, Operand<F> a, Operand<F> b, F beta) {
  // Row-major C = A B is column-major C^T = B^T A^T.
  const int m = static_cast<int>(mnk[0]), n = static_cast<int>(mnk[1]), k = static_cast<int>(mnk[2]);
  const int lda = static_cast<int>(a.stride), ldb = static_cast<int>(b.stride), ldc = static_cast<int>(stride);
  const char ta = a.transposed ? 'T' : 'N', tb = b.transposed ? 'T' : 'N';
  const F one = 1;
  if constexpr (std::is_same_v<F, float>) {
    sgemm_(&tb, &ta, &n, &m, &k, &one, b.data, &ldb, a.data, &lda, &beta, c, &ldc);
  } else {
    dgemm_(&tb, &ta, &n, &m, &k, &one, b.data, &ldb, a.data, &lda, &beta, c, &ldc);
  }
}

}  // namespace cllm::heads
