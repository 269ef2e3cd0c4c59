#include <ATen/Dispatch.h>

#include "model/kernels/device/check.cuh"
#include "model/kernels/device/reduce.cuh"
#include "model/kernels/elementwise/cuda.h"
#include "model/kernels/elementwise/dropout_mask.cuh"

namespace cllm::kernels::cuda {
namespace {

/// Raw pointers of a call. R: residual stream, C: compute dtype.
template <typename R, typename C>
struct Forward {
  R *sum, *mean, *inverse;
  C* out;
  const R* x;
  const C* y;
  const R *bias, *gamma, *beta;
  R epsilon, scale;
  Draw draw;
  int64_t num_rows, width;
};

template <typename R, typename C>
struct Backward {
  R* grad_x;
  C* grad_y;  // null: the same as grad_x
  const C* grad_out;
  const R* grad_sum;  // null: zero
  const R *sum, *mean, *inverse, *gamma;
  R scale;
  Draw draw;
  int64_t num_rows, width;
};

/// Where a thread of a row stands.
struct Place {
  int64_t t, column, offset;
  bool active;
  __device__ __forceinline__ Place(int lanes, int64_t num_rows, int64_t width)
      : t(static_cast<int64_t>(blockIdx.x) * blockDim.y + threadIdx.y),
        column(static_cast<int64_t>(threadIdx.x) * lanes), offset(t * width + column),
        active(t < num_rows && column < width) {}
};

/// A row is read and written once; mean and variance take two sums over its threads.
template <typename R, typename C>
__global__ void __launch_bounds__(kMaxBlock) forward_kernel(Forward<R, C> args) {
  constexpr int N = kLanes<C>;
  __shared__ R scratch[kWarp];
  const Place place(N, args.num_rows, args.width);
  R s[N] = {}, y[N], bias[N];
  R total = 0, square = 0;
  if (place.active) {
    load<N>(s, args.x + place.offset);
    load<N>(y, args.y + place.offset);
    load<N>(bias, args.bias + place.column);
#pragma unroll
    for (int n = 0; n < N; ++n) y[n] += bias[n];
    drop<N>(y, args.draw, args.scale, place.t, place.column);
#pragma unroll
    for (int n = 0; n < N; ++n) total += s[n] += y[n];
    store<N>(args.sum + place.offset, s);
  }
  const R mean = combine_row(total, scratch, Sum{}) / static_cast<R>(args.width);
  if (place.active) {
#pragma unroll
    for (int n = 0; n < N; ++n) square += (s[n] - mean) * (s[n] - mean);
  }
  const R inverse = R(1) / sqrt(combine_row(square, scratch, Sum{}) / static_cast<R>(args.width) + args.epsilon);
  if (!place.active) return;
  R gamma[N], beta[N];
  load<N>(gamma, args.gamma + place.column);
  load<N>(beta, args.beta + place.column);
#pragma unroll
  for (int n = 0; n < N; ++n) s[n] = (s[n] - mean) * inverse * gamma[n] + beta[n];
  store<N>(args.out + place.offset, s);
  if (threadIdx.x == 0) {
    args.mean[place.t] = mean;
    args.inverse[place.t] = inverse;
  }
}

template <typename R, typename C>
__global__ void __launch_bounds__(kMaxBlock) backward_kernel(Backward<R, C> args) {
  constexpr int N = kLanes<C>;
  __shared__ R scratch[kWarp];
  const Place place(N, args.num_rows, args.width);
  R g[N] = {}, hat[N] = {}, inverse = 0;
  R first = 0, second = 0;
  if (place.active) {
    R gamma[N];
    load<N>(g, args.grad_out + place.offset);
    load<N>(hat, args.sum + place.offset);
    load<N>(gamma, args.gamma + place.column);
    const R mean = args.mean[place.t];
    inverse = args.inverse[place.t];
#pragma unroll
    for (int n = 0; n < N; ++n) {
      g[n] *= gamma[n];
      hat[n] = (hat[n] - mean) * inverse;
      first += g[n];
      second += g[n] * hat[n];
    }
  }
  first = combine_row(first, scratch, Sum{}) / static_cast<R>(args.width);
  second = combine_row(second, scratch, Sum{}) / static_cast<R>(args.width);
  if (!place.active) return;
  R grad_sum[N] = {};
  if (args.grad_sum) load<N>(grad_sum, args.grad_sum + place.offset);
#pragma unroll
  for (int n = 0; n < N; ++n) g[n] = inverse * (g[n] - first - hat[n] * second) + grad_sum[n];
  store<N>(args.grad_x + place.offset, g);
  if (!args.grad_y) return;
  drop<N>(g, args.draw, args.scale, place.t, place.column);
  store<N>(args.grad_y + place.offset, g);
}

/// Calls body(R(), C()) for the compute dtype of `y`.
template <typename Body>
void dispatch(const at::Tensor& y, const Body& body) {
  AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, y.scalar_type(), "add_norm",
                                 [&] { body(Accumulator<scalar_t>{}, scalar_t{}); });
}

void check_residual(const at::Tensor& tensor, const at::Tensor& like, const char* name) {
  check_rows(tensor, name);
  TORCH_CHECK(tensor.sizes() == like.sizes(), name, " has shape ", tensor.sizes(), ", expected ", like.sizes());
}

}  // namespace

void add_norm(const NormTensors& out, const at::Tensor& x_TD, const at::Tensor& y_TD, const at::Tensor& bias_D,
              const NormCall& call) {
  check_rows(y_TD, "the branch");
  check_residual(x_TD, y_TD, "the residual stream");
  if (x_TD.size(0) == 0) return;
  const DeviceGuard guard(x_TD.device());
  dispatch(y_TD, [&](auto r, auto c) {
    using R = decltype(r);
    using C = decltype(c);
    TORCH_CHECK(x_TD.scalar_type() == c10::CppTypeToScalarType<R>::value, "the residual stream must be ",
                c10::CppTypeToScalarType<R>::value);
    const Forward<R, C> args{pointer<R>(out.sum_TD),
                             pointer<R>(out.mean_T),
                             pointer<R>(out.inverse_T),
                             pointer<C>(out.normed_TD),
                             pointer<const R>(x_TD),
                             pointer<const C>(y_TD),
                             pointer<const R>(bias_D),
                             pointer<const R>(call.gamma_D),
                             pointer<const R>(call.beta_D),
                             static_cast<R>(call.epsilon),
                             scale_of<R>(call.mask),
                             make_draw(call.mask, x_TD.size(0)),
                             x_TD.size(0),
                             x_TD.size(1)};
    launch(forward_kernel<R, C>, row_grid(x_TD.size(0), x_TD.size(1) / kLanes<C>), args);
  });
}

void add_norm_backward(const at::Tensor& grad_x_TD, const at::Tensor& grad_y_TD, const NormTensors& saved,
                       const at::Tensor& grad_sum_TD, const NormCall& call) {
  const at::Tensor& grad_out_TD = saved.normed_TD;
  check_rows(grad_out_TD, "the norm's gradient");
  check_residual(saved.sum_TD, grad_out_TD, "the residual stream");
  if (grad_x_TD.size(0) == 0) return;
  const DeviceGuard guard(grad_x_TD.device());
  dispatch(grad_out_TD, [&](auto r, auto c) {
    using R = decltype(r);
    using C = decltype(c);
    const Backward<R, C> args{pointer<R>(grad_x_TD),
                              pointer<C>(grad_y_TD),
                              pointer<const C>(grad_out_TD),
                              pointer<const R>(grad_sum_TD),
                              pointer<const R>(saved.sum_TD),
                              pointer<const R>(saved.mean_T),
                              pointer<const R>(saved.inverse_T),
                              pointer<const R>(call.gamma_D),
                              scale_of<R>(call.mask),
                              make_draw(call.mask, grad_x_TD.size(0)),
                              grad_x_TD.size(0),
                              grad_x_TD.size(1)};
    launch(backward_kernel<R, C>, row_grid(grad_x_TD.size(0), grad_x_TD.size(1) / kLanes<C>), args);
  });
}

}  // namespace cllm::kernels::cuda
