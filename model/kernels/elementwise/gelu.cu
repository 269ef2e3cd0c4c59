#include <ATen/Dispatch.h>
#include <ATen/ops/empty_like.h>
#include <math.h>

#include "model/kernels/device/check.cuh"
#include "model/kernels/device/pack.cuh"
#include "model/kernels/elementwise/activations.cuh"
#include "model/kernels/elementwise/cuda.h"

namespace cllm::kernels::cuda {
namespace {

/// out = gelu(h + bias), or with a gradient its product with the slope there. One thread per 16-byte word.
template <typename Gelu, typename C, typename R>
__global__ void gelu_kernel(C* __restrict__ out, const C* __restrict__ h, const R* __restrict__ bias,
                            const C* __restrict__ gradient, int64_t num_words, int64_t width) {
  constexpr int N = kLanes<C>;
  const int64_t word = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (word >= num_words) return;
  R x[N], b[N], g[N];
  load<N>(x, h + word * N);
  load<N>(b, bias + word * N % width);
  if (gradient) load<N>(g, gradient + word * N);
#pragma unroll
  for (int n = 0; n < N; ++n) x[n] = gradient ? g[n] * Gelu::slope(x[n] + b[n]) : Gelu::value(x[n] + b[n]);
  store<N>(out + word * N, x);
}

}  // namespace

at::Tensor bias_gelu(const at::Tensor& h_TF, const at::Tensor& bias_F, bool tanh_form, const at::Tensor& gradient_TF) {
  check_rows(h_TF, "gelu's input");
  if (gradient_TF.defined()) {
    check_rows(gradient_TF, "gelu's gradient");
    TORCH_CHECK(gradient_TF.sizes() == h_TF.sizes() && gradient_TF.scalar_type() == h_TF.scalar_type(),
                "gelu's gradient does not fit");
  }
  at::Tensor out_TF = at::empty_like(h_TF);
  if (h_TF.numel() == 0) return out_TF;
  const DeviceGuard guard(h_TF.device());
  AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, h_TF.scalar_type(), "gelu", [&] {
    using R = Accumulator<scalar_t>;
    TORCH_CHECK(bias_F.scalar_type() == c10::CppTypeToScalarType<R>::value && bias_F.size(0) == h_TF.size(1),
                "gelu's bias does not fit");
    const int64_t num_words = h_TF.numel() / kLanes<scalar_t>;
    const auto kernel = tanh_form ? gelu_kernel<TanhGelu, scalar_t, R> : gelu_kernel<ErfGelu, scalar_t, R>;
    launch(kernel, flat_grid(num_words), pointer<scalar_t>(out_TF), pointer<const scalar_t>(h_TF),
           pointer<const R>(bias_F), pointer<const scalar_t>(gradient_TF), num_words, h_TF.size(1));
  });
  return out_TF;
}

}  // namespace cllm::kernels::cuda
