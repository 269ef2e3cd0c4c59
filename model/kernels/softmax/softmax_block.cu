#include <ATen/Dispatch.h>
#include <ATen/ops/empty.h>
#include <math.h>

#include <limits>

#include "model/kernels/device/check.cuh"
#include "model/kernels/device/pack.cuh"
#include "model/kernels/device/reduce.cuh"
#include "model/kernels/softmax/cuda.h"

namespace cllm::kernels::cuda {
namespace {

/// Words of a row that a thread keeps in registers between the passes: rows of up to 8 * 1024 words (65,536 bf16
/// logits) are read from memory once; the rest of a longer row is read again.
constexpr int kKeptWords = 8;

/// A row as 16-byte words, and the elements before the first and after the last border, of which a thread has at most
/// one.
template <typename T>
struct Row {
  static constexpr int N = kLanes<T>;
  T* words;
  int64_t num_words;
  T* edge;  // null: none

  __device__ Row(T* x, int64_t width, int64_t thread) {
    const int64_t to_border = static_cast<int64_t>((16 - reinterpret_cast<uintptr_t>(x) % 16) % 16 / sizeof(T));
    const int64_t head = to_border < width ? to_border : width;
    words = x + head;
    num_words = (width - head) / N;
    const int64_t tail = width - head - num_words * N;
    edge = thread < head ? x + thread : thread < head + tail ? words + num_words * N + (thread - head) : nullptr;
  }
};

template <int N, typename A>
__device__ __forceinline__ A maximum_of(A maximum, const A (&x)[N]) {
#pragma unroll
  for (int n = 0; n < N; ++n) maximum = x[n] > maximum ? x[n] : maximum;
  return maximum;
}

/// x <- exp(x - maximum); returns their sum before rounding to the element type.
template <int N, typename A>
__device__ __forceinline__ A exp_all(A (&x)[N], A maximum) {
  A sum = 0;
#pragma unroll
  for (int n = 0; n < N; ++n) sum += x[n] = exp(x[n] - maximum);
  return sum;
}

/// One block per row.
template <typename T>
__global__ void __launch_bounds__(kMaxBlock)
    exp_kernel(T* logits, int64_t stride, int64_t width, Accumulator<T>* maximum_out, Accumulator<T>* sum_out) {
  using A = Accumulator<T>;
  constexpr int N = kLanes<T>;
  __shared__ A scratch[kWarp];
  const int64_t thread = threadIdx.x, threads = blockDim.x;
  const Row<T> row(logits + blockIdx.x * stride, width, thread);

  A maximum = -std::numeric_limits<A>::infinity();
  int4 kept[kKeptWords];  // not widened, for half the registers
#pragma unroll
  for (int k = 0; k < kKeptWords; ++k) {
    const int64_t word = thread + k * threads;
    if (word >= row.num_words) continue;
    kept[k] = reinterpret_cast<const int4*>(row.words)[word];
    A x[N];
    load<N>(x, reinterpret_cast<const T*>(&kept[k]));
    maximum = maximum_of<N>(maximum, x);
  }
  for (int64_t word = thread + kKeptWords * threads; word < row.num_words; word += threads) {
    A x[N];
    load<N>(x, row.words + word * N);
    maximum = maximum_of<N>(maximum, x);
  }
  if (row.edge && static_cast<A>(*row.edge) > maximum) maximum = static_cast<A>(*row.edge);
  maximum = combine_row(maximum, scratch, Max{});

  A sum = 0;
#pragma unroll
  for (int k = 0; k < kKeptWords; ++k) {
    const int64_t word = thread + k * threads;
    if (word >= row.num_words) continue;
    A x[N];
    load<N>(x, reinterpret_cast<const T*>(&kept[k]));
    sum += exp_all<N>(x, maximum);
    store<N>(row.words + word * N, x);
  }
  for (int64_t word = thread + kKeptWords * threads; word < row.num_words; word += threads) {
    A x[N];
    load<N>(x, row.words + word * N);
    sum += exp_all<N>(x, maximum);
    store<N>(row.words + word * N, x);
  }
  if (row.edge) {
    const A value = exp(static_cast<A>(*row.edge) - maximum);
    *row.edge = static_cast<T>(value);
    sum += value;
  }
  sum = combine_row(sum, scratch, Sum{});
  if (thread == 0) {
    maximum_out[blockIdx.x] = maximum;
    sum_out[blockIdx.x] = sum;
  }
}

/// Threads as for row_grid.
template <typename T>
__global__ void __launch_bounds__(kMaxBlock)
    dot_kernel(double* __restrict__ out, const T* __restrict__ a, const int64_t* __restrict__ a_rows,
               const T* __restrict__ b, const int64_t* __restrict__ b_rows, int64_t count, int64_t width) {
  using A = Accumulator<T>;
  constexpr int N = kLanes<T>;
  __shared__ A scratch[kWarp];
  const int64_t k = static_cast<int64_t>(blockIdx.x) * blockDim.y + threadIdx.y;
  const int64_t column = static_cast<int64_t>(threadIdx.x) * N;
  A sum = 0;
  if (k < count && column < width) {
    A x[N], y[N];
    load<N>(x, a + a_rows[k] * width + column);
    load<N>(y, b + b_rows[k] * width + column);
#pragma unroll
    for (int n = 0; n < N; ++n) sum += x[n] * y[n];
  }
  sum = combine_row(sum, scratch, Sum{});
  if (threadIdx.x == 0 && k < count) out[k] = static_cast<double>(sum);
}

}  // namespace

at::Tensor row_dots(const at::Tensor& a_ND, const at::Tensor& a_rows_K, const at::Tensor& b_VD,
                    const at::Tensor& b_rows_K) {
  check_rows(a_ND, "a");
  check_rows(b_VD, "b");
  check_index(a_rows_K, "rows of a");
  check_index(b_rows_K, "rows of b");
  const int64_t count = a_rows_K.size(0), width = a_ND.size(1);
  TORCH_CHECK(b_rows_K.size(0) == count && b_VD.size(1) == width && b_VD.scalar_type() == a_ND.scalar_type(),
              "products of rows that differ in number, width or dtype");
  const DeviceGuard guard(a_ND.device());
  at::Tensor out_K = at::empty({count}, a_ND.options().dtype(at::kDouble));
  if (count == 0) return out_K;
  AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, a_ND.scalar_type(), "row_dots", [&] {
    launch(dot_kernel<scalar_t>, row_grid(count, width / kLanes<scalar_t>), pointer<double>(out_K),
           pointer<const scalar_t>(a_ND), pointer<const int64_t>(a_rows_K), pointer<const scalar_t>(b_VD),
           pointer<const int64_t>(b_rows_K), count, width);
  });
  return out_K;
}

void exp_rows(const at::Tensor& logits_bV, const at::Tensor& maximum_b, const at::Tensor& sum_b) {
  const int64_t num_rows = logits_bV.size(0), width = logits_bV.size(1);
  TORCH_CHECK(logits_bV.device().type() == kDevice && logits_bV.dim() == 2 && (width <= 1 || logits_bV.stride(1) == 1),
              "logits must be a matrix with dense rows on ", kDevice);
  TORCH_CHECK(
      maximum_b.is_contiguous() && sum_b.is_contiguous() && maximum_b.numel() == num_rows && sum_b.numel() == num_rows,
      "one maximum and one sum per row");
  if (num_rows == 0) return;
  const DeviceGuard guard(logits_bV.device());
  AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, logits_bV.scalar_type(), "softmax", [&] {
    using A = Accumulator<scalar_t>;
    TORCH_CHECK(
        maximum_b.scalar_type() == c10::CppTypeToScalarType<A>::value && sum_b.scalar_type() == maximum_b.scalar_type(),
        "maxima and sums of ", logits_bV.scalar_type(), " logits are ", c10::CppTypeToScalarType<A>::value);
    const int64_t words = divide_up(width, kLanes<scalar_t>) + 1;
    const int64_t threads =
        std::min<int64_t>(kMaxBlock, std::max<int64_t>(divide_up(divide_up(words, kKeptWords / 2), kWarp), 1) * kWarp);
    launch(exp_kernel<scalar_t>, Grid{num_rows, threads, 1}, pointer<scalar_t>(logits_bV), logits_bV.stride(0), width,
           pointer<A>(maximum_b), pointer<A>(sum_b));
  });
}

}  // namespace cllm::kernels::cuda
