#include <ATen/Dispatch.h>
#include <ATen/ops/empty_like.h>

#include "model/kernels/device/check.cuh"
#include "model/kernels/elementwise/cuda.h"
#include "model/kernels/elementwise/dropout_mask.cuh"

namespace cllm::kernels::cuda {
namespace {

template <typename T>
__global__ void dropout_kernel(T* __restrict__ out, const T* __restrict__ in, Draw draw, Accumulator<T> scale,
                               int64_t num_rows, int64_t width) {
  constexpr int N = kLanes<T>;
  const int64_t t = static_cast<int64_t>(blockIdx.x) * blockDim.y + threadIdx.y;
  const int64_t column = static_cast<int64_t>(threadIdx.x) * N;
  if (t >= num_rows || column >= width) return;
  Accumulator<T> x[N];
  load<N>(x, in + t * width + column);
  drop<N>(x, draw, scale, t, column);
  store<N>(out + t * width + column, x);
}

}  // namespace

at::Tensor dropout(const at::Tensor& x_TD, const at::Tensor& keys_T, double rate, uint64_t salt, int64_t group) {
  check_rows(x_TD, "dropout's input");
  const DeviceGuard guard(x_TD.device());
  at::Tensor out_TD = at::empty_like(x_TD);
  if (x_TD.numel() == 0) return out_TD;
  const Draw draw = make_draw({keys_T, rate, salt}, x_TD.size(0), group);
  AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, x_TD.scalar_type(), "dropout", [&] {
    using A = Accumulator<scalar_t>;
    launch(dropout_kernel<scalar_t>, row_grid(x_TD.size(0), x_TD.size(1) / kLanes<scalar_t>), pointer<scalar_t>(out_TD),
           pointer<const scalar_t>(x_TD), draw, static_cast<A>(1.0 / (1.0 - rate)), x_TD.size(0), x_TD.size(1));
  });
  return out_TD;
}

}  // namespace cllm::kernels::cuda
