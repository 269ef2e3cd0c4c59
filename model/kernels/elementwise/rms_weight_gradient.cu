#include <ATen/Dispatch.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/sum.h>

#include <algorithm>

#include "model/kernels/device/check.cuh"
#include "model/kernels/elementwise/cuda.h"
#include "model/kernels/elementwise/dropout_mask.cuh"

namespace cllm::kernels::cuda {
namespace {

constexpr int kColumns = 32, kRowsAtATime = kBlock / kColumns;

template <typename R, typename G, typename X>
struct WeightGradient {
  R* part;  // [pieces, D]
  const G* gradient;
  const X* x;
  const R* inverse;
  R scale;
  Draw draw;
  int64_t num_rows, width, rows_of_piece;
};

/// A block sums some columns of one piece of the rows.
template <typename R, typename G, typename X>
__global__ void weight_gradient_kernel(WeightGradient<R, G, X> args) {
  __shared__ R sums[kRowsAtATime][kColumns];
  const int64_t strips = (args.width + kColumns - 1) / kColumns, piece = blockIdx.x / strips,
                column = blockIdx.x % strips * kColumns + threadIdx.x, begin = piece * args.rows_of_piece;
  const int64_t end = begin + args.rows_of_piece < args.num_rows ? begin + args.rows_of_piece : args.num_rows;
  R sum = 0;
  for (int64_t t = begin + threadIdx.y; column < args.width && t < end; t += blockDim.y) {
    R g[1] = {static_cast<R>(args.gradient[t * args.width + column])};
    drop<1>(g, args.draw, args.scale, t, column);
    sum += g[0] * static_cast<R>(args.x[t * args.width + column]) * args.inverse[t];
  }
  sums[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y > 0 || column >= args.width) return;
  for (int k = 1; k < kRowsAtATime; ++k) sum += sums[k][threadIdx.x];
  args.part[piece * args.width + column] = sum;
}

}  // namespace

at::Tensor rms_weight_gradient(const at::Tensor& gradient_TD, const at::Tensor& x_TD, const at::Tensor& inverse_T,
                               const Mask& mask) {
  constexpr int64_t kRowsOfPiece = 64, kMostPieces = 128;
  check_like(gradient_TD, x_TD, "the norm's gradient");
  const int64_t T = x_TD.size(0), D = x_TD.size(1);
  const int64_t pieces = std::min(divide_up(T, kRowsOfPiece), kMostPieces);
  const at::Tensor parts = at::empty({pieces, D}, inverse_T.options());
  if (x_TD.numel() == 0) return at::sum(parts, 0);
  const DeviceGuard guard(x_TD.device());
  const auto start = [&](auto r, auto g, auto x) {
    using R = decltype(r);
    using G = decltype(g);
    using X = decltype(x);
    const WeightGradient<R, G, X> args{pointer<R>(parts),
                                       checked<const G>(gradient_TD, "the norm's gradient"),
                                       checked<const X>(x_TD, "what was normed"),
                                       checked<const R>(inverse_T, "the inverse root mean square"),
                                       scale_of<R>(mask),
                                       make_draw(mask, T),
                                       T,
                                       D,
                                       divide_up(T, pieces)};
    launch(weight_gradient_kernel<R, G, X>, Grid{pieces * divide_up(D, kColumns), kColumns, kRowsAtATime}, args);
  };
  AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, gradient_TD.scalar_type(), "rms_weight_gradient", [&] {
    using G = scalar_t;
    using R = Accumulator<G>;
    x_TD.scalar_type() == at::kBFloat16 ? start(R{}, G{}, at::BFloat16{}) : start(R{}, G{}, R{});
  });
  return at::sum(parts, 0);
}

}  // namespace cllm::kernels::cuda
