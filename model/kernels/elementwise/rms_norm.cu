#include "model/kernels/device/dispatch_rows.cuh"
#include "model/kernels/device/reduce.cuh"
#include "model/kernels/elementwise/cuda.h"
#include "model/kernels/elementwise/dropout_mask.cuh"

namespace cllm::kernels::cuda {
namespace {

/// A norm's weights; null: no norm.
template <typename R>
struct Weight {
  const R* data;
  R epsilon, offset;
};

template <typename R, typename C>
struct Forward {
  R* sum;  // may be x
  C* out;
  R *inverse, *inverse_y;
  const R* x;
  const C* y;  // null: x' = x
  Weight<R> post, next;
  R scale;
  Draw draw;
  int64_t num_rows, width;
};

template <typename R, typename C>
struct Backward {
  R* grad_x;
  C* grad_y;          // null: not wanted, or the same as grad_x
  const C* grad_out;  // null: zero
  const R* grad_sum;  // null: zero
  const R *sum, *inverse, *inverse_y;
  const C* y;
  Weight<R> post, next;
  R scale;
  Draw draw;
  int64_t num_rows, width;
};

/// A thread's words of its row: columns first, first + step, ... before end.
struct Words {
  int64_t t, offset, first, step, end;
  bool one;  // at most one: what a pass over the row has read is still there in the next
  __device__ __forceinline__ Words(int lanes, int64_t num_rows, int64_t width)
      : t(static_cast<int64_t>(blockIdx.x) * blockDim.y + threadIdx.y), offset(t * width),
        first(static_cast<int64_t>(threadIdx.x) * lanes), step(static_cast<int64_t>(blockDim.x) * lanes),
        end(t < num_rows ? width : 0), one(step >= width) {}
};

/// w + offset of N columns.
template <int N, typename R>
__device__ __forceinline__ void load_weight(R (&w)[N], const Weight<R>& weight, int64_t column) {
  load<N>(w, weight.data + column);
#pragma unroll
  for (int n = 0; n < N; ++n) w[n] += weight.offset;
}

template <typename R>
__device__ __forceinline__ R inverse_root(R squares, int64_t width, R epsilon) {
  return R(1) / sqrt(squares / static_cast<R>(width) + epsilon);
}

template <int N, typename R, typename C>
__global__ void __launch_bounds__(kMaxBlock) rms_forward_kernel(Forward<R, C> args) {
  __shared__ R scratch[kWarp];
  const Words words(N, args.num_rows, args.width);
  R s[N] = {}, y[N] = {}, w[N] = {};
  R inverse_y = 1, square = 0;
  if (args.post.data) {
    for (int64_t d = words.first; d < words.end; d += words.step) {
      load<N>(y, args.y + words.offset + d);
#pragma unroll
      for (int n = 0; n < N; ++n) square += y[n] * y[n];
    }
    inverse_y = inverse_root(combine_row(square, scratch, Sum{}), args.width, args.post.epsilon);
    if (threadIdx.x == 0 && words.end > 0) args.inverse_y[words.t] = inverse_y;
    square = 0;
  }
  for (int64_t d = words.first; d < words.end; d += words.step) {
    load<N>(s, args.x + words.offset + d);
    if (args.y) {
      if (!args.post.data || !words.one) load<N>(y, args.y + words.offset + d);
      if (args.post.data) {
        load_weight<N>(w, args.post, d);
#pragma unroll
        for (int n = 0; n < N; ++n) y[n] *= inverse_y * w[n];
      }
      drop<N>(y, args.draw, args.scale, words.t, d);
#pragma unroll
      for (int n = 0; n < N; ++n) s[n] += y[n];
      store<N>(args.sum + words.offset + d, s);
    }
#pragma unroll
    for (int n = 0; n < N; ++n) square += s[n] * s[n];
  }
  const R inverse = inverse_root(combine_row(square, scratch, Sum{}), args.width, args.next.epsilon);
  if (threadIdx.x == 0 && words.end > 0) args.inverse[words.t] = inverse;
  for (int64_t d = words.first; d < words.end; d += words.step) {
    if (!words.one) load<N>(s, args.sum + words.offset + d);
    load_weight<N>(w, args.next, d);
#pragma unroll
    for (int n = 0; n < N; ++n) s[n] *= inverse * w[n];
    store<N>(args.out + words.offset + d, s);
  }
}

/// The gradient of x' -> grad_x. `kept`: this thread's last word of it.
template <int N, typename R, typename C>
__device__ __forceinline__ void gradient_of_sum(const Backward<R, C>& args, const Words& words, R* scratch,
                                                R (&kept)[N]) {
  R s[N] = {}, w[N] = {};
  R dot = 0;
  const auto read = [&](int64_t d) {
    load<N>(kept, args.grad_out + words.offset + d);
    load<N>(s, args.sum + words.offset + d);
    load_weight<N>(w, args.next, d);
#pragma unroll
    for (int n = 0; n < N; ++n) kept[n] *= w[n];
  };
  for (int64_t d = words.first; args.grad_out && d < words.end; d += words.step) {
    read(d);
#pragma unroll
    for (int n = 0; n < N; ++n) dot += kept[n] * s[n];
  }
  const R inverse = args.grad_out && words.end > 0 ? args.inverse[words.t] : R(0);
  const R along = combine_row(dot, scratch, Sum{}) * inverse * inverse * inverse / static_cast<R>(args.width);
  for (int64_t d = words.first; d < words.end; d += words.step) {
    if (args.grad_out && !words.one) read(d);
    R other[N] = {};
    if (args.grad_sum) load<N>(other, args.grad_sum + words.offset + d);
#pragma unroll
    for (int n = 0; n < N; ++n) kept[n] = (args.grad_out ? kept[n] * inverse - s[n] * along : R(0)) + other[n];
    store<N>(args.grad_x + words.offset + d, kept);
  }
}

template <int N, typename R, typename C>
__global__ void __launch_bounds__(kMaxBlock) rms_backward_kernel(Backward<R, C> args) {
  __shared__ R scratch[kWarp];
  const Words words(N, args.num_rows, args.width);
  R g[N] = {}, y[N] = {}, w[N] = {};
  gradient_of_sum<N>(args, words, scratch, g);
  if (!args.grad_y) return;
  // Of mask * gradient: twice over the row where y is normed.
  const auto masked = [&](int64_t d) {
    if (!words.one) load<N>(g, args.grad_x + words.offset + d);
    drop<N>(g, args.draw, args.scale, words.t, d);
  };
  if (!args.post.data) {
    for (int64_t d = words.first; d < words.end; d += words.step) {
      masked(d);
      store<N>(args.grad_y + words.offset + d, g);
    }
    return;
  }
  R dot = 0;
  const auto weighted = [&](int64_t d) {
    masked(d);
    load<N>(y, args.y + words.offset + d);
    load_weight<N>(w, args.post, d);
#pragma unroll
    for (int n = 0; n < N; ++n) g[n] *= w[n];
  };
  for (int64_t d = words.first; d < words.end; d += words.step) {
    weighted(d);
#pragma unroll
    for (int n = 0; n < N; ++n) dot += g[n] * y[n];
  }
  const R inverse = words.end > 0 ? args.inverse_y[words.t] : R(0);
  const R along = combine_row(dot, scratch, Sum{}) * inverse * inverse * inverse / static_cast<R>(args.width);
  for (int64_t d = words.first; d < words.end; d += words.step) {
    if (!words.one) weighted(d);
#pragma unroll
    for (int n = 0; n < N; ++n) g[n] = g[n] * inverse - y[n] * along;
    store<N>(args.grad_y + words.offset + d, g);
  }
}

template <typename R>
Weight<R> weight_of(const RmsWeight& norm, int64_t width, const char* name) {
  TORCH_CHECK(!norm.weight.defined() || norm.weight.numel() == width, name, " does not fit rows of ", width);
  return {checked<const R>(norm.weight, name), static_cast<R>(norm.epsilon), norm.offset ? R(1) : R(0)};
}

}  // namespace

void add_rms_norm(const RmsNormTensors& out, const at::Tensor& x_TD, const at::Tensor& y_TD, const RmsNormCall& call) {
  check_like(out.normed_TD, x_TD, "the normed stream");
  if (y_TD.defined()) check_like(y_TD, x_TD, "the branch");
  const int64_t T = x_TD.size(0), D = x_TD.size(1);
  if (x_TD.numel() == 0) return;
  const DeviceGuard guard(x_TD.device());
  const at::Tensor sum = y_TD.defined() ? out.sum_TD : x_TD;
  dispatch_rows(out.normed_TD, D, {sum, out.normed_TD, x_TD, y_TD, call.post.weight, call.next.weight},
                [&](auto r, auto c, auto lanes) {
                  using R = decltype(r);
                  using C = decltype(c);
                  constexpr int N = decltype(lanes)::value;
                  const Forward<R, C> args{checked<R>(sum, "the residual stream"),
                                           pointer<C>(out.normed_TD),
                                           checked<R>(out.inverse_T, "the inverse root mean square"),
                                           checked<R>(out.inverse_y_T, "the branch's inverse root mean square"),
                                           checked<const R>(x_TD, "the residual stream"),
                                           checked<const C>(y_TD, "the branch"),
                                           weight_of<R>(call.post, D, "the branch's norm"),
                                           weight_of<R>(call.next, D, "the norm"),
                                           scale_of<R>(call.mask),
                                           make_draw(call.mask, T),
                                           T,
                                           D};
                  launch(rms_forward_kernel<N, R, C>, long_row_grid(T, divide_up(D, N)), args);
                });
}

void add_rms_norm_backward(const at::Tensor& grad_x_TD, const at::Tensor& grad_y_TD, const RmsNormTensors& saved,
                           const at::Tensor& y_TD, const at::Tensor& grad_sum_TD, const RmsNormCall& call) {
  const int64_t T = grad_x_TD.size(0), D = grad_x_TD.size(1);
  const at::Tensor& like = grad_y_TD.defined() ? grad_y_TD : saved.normed_TD.defined() ? saved.normed_TD : grad_x_TD;
  if (grad_x_TD.numel() == 0) return;
  const DeviceGuard guard(grad_x_TD.device());
  dispatch_rows(
      like, D,
      {grad_x_TD, grad_y_TD, saved.normed_TD, saved.sum_TD, y_TD, grad_sum_TD, call.post.weight, call.next.weight},
      [&](auto r, auto c, auto lanes) {
        using R = decltype(r);
        using C = decltype(c);
        constexpr int N = decltype(lanes)::value;
        const Backward<R, C> args{checked<R>(grad_x_TD, "the residual stream's gradient"),
                                  checked<C>(grad_y_TD, "the branch's gradient"),
                                  checked<const C>(saved.normed_TD, "the norm's gradient"),
                                  checked<const R>(grad_sum_TD, "the sum's gradient"),
                                  checked<const R>(saved.sum_TD, "the residual stream"),
                                  checked<const R>(saved.inverse_T, "the inverse root mean square"),
                                  checked<const R>(saved.inverse_y_T, "that of the branch"),
                                  checked<const C>(y_TD, "the branch"),
                                  weight_of<R>(call.post, D, "the branch's norm"),
                                  weight_of<R>(call.next, D, "the norm"),
                                  scale_of<R>(call.mask),
                                  make_draw(call.mask, T),
                                  T,
                                  D};
        launch(rms_backward_kernel<N, R, C>, long_row_grid(T, divide_up(D, N)), args);
      });
}

}  // namespace cllm::kernels::cuda
