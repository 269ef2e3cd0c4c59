#include "model/kernels/row_update.h"

#include <ATen/Dispatch.h>

#include "model/kernels/check.cuh"
#include "model/kernels/cuda.h"
#include "model/kernels/row_gradient.cuh"
#include "model/kernels/row_rules.cuh"
#include "model/kernels/segment_sum.h"

namespace cllm::kernels::cuda {
namespace {

/// Raw pointers of one call. W: type of the weights, A: of all the rest.
template <typename W, typename A>
struct RowArgs {
  W* weight;
  const int64_t* rows;  // null: row m is m
  Contributions<A> parts;
  const A* head;
  int64_t first_of_head;  // row m
  const W* fixed;
  const A* pull;
  A* sum;
  int64_t num_rows, width;
  Rounding rounding;
};

/// One block works on blockDim.y rows, one thread on kLanes<W> columns of a row. The whole update of a row happens in
/// registers: every part of its gradient, weight and moment is read once, every weight and moment written once.
template <typename W, typename A, typename Rule>
__global__ void __launch_bounds__(1024) update_kernel(RowArgs<W, A> args, Rule rule) {
  constexpr int N = kLanes<W>;
  __shared__ A scratch[kWarp];
  const int64_t m = static_cast<int64_t>(blockIdx.x) * blockDim.y + threadIdx.y;
  const int64_t column = static_cast<int64_t>(threadIdx.x) * N;
  const bool active = m < args.num_rows && column < args.width;
  const int64_t row = active && args.rows ? args.rows[m] : m;
  const int64_t offset = row * args.width + column;
  A w[N] = {}, g[N] = {}, square = 0;
  typename Rule::template State<N> state;
  if (active) {
    load<N>(w, args.weight + offset);
    state.load(rule, row, offset);
    add_gradient<N>(g, args.parts, m, args.width, column);
    if (args.head && m >= args.first_of_head) {
      A head[N];
      load<N>(head, args.head + (m - args.first_of_head) * args.width + column);
#pragma unroll
      for (int n = 0; n < N; ++n) g[n] += head[n];
    }
    state.catch_up(rule, w);
    const A pull = args.fixed ? args.pull[m] : A(0);
    if (pull != A(0)) {
      A fixed[N];
      load<N>(fixed, args.fixed + offset);
#pragma unroll
      for (int n = 0; n < N; ++n) g[n] += pull * (w[n] - fixed[n]);
    }
  }
  if (args.sum) {
    A sum = 0;
#pragma unroll
    for (int n = 0; n < N; ++n) sum += g[n];
    sum = combine_row(sum, scratch, Sum{});
    if (active && threadIdx.x == 0) args.sum[m] = sum;
  }
  if constexpr (Rule::kNeedsRowSquare) {
#pragma unroll
    for (int n = 0; n < N; ++n) square += g[n] * g[n];
    square = combine_row(square, scratch, Sum{}) / static_cast<A>(args.width);
  }
  __syncthreads();  // all threads of the row have read its counter and accumulator
  if (!active) return;
  state.update(rule, w, g, square);
  store_weight<N>(args.weight + offset, w, args.rounding, row, args.width, column);
  state.store(rule, row, offset, threadIdx.x == 0);
}

/// Zero-gradient updates only.
template <typename W, typename A>
__global__ void __launch_bounds__(1024) catch_up_kernel(RowArgs<W, A> args, AdamRule<A> rule) {
  constexpr int N = kLanes<W>;
  const int64_t m = static_cast<int64_t>(blockIdx.x) * blockDim.y + threadIdx.y;
  const int64_t column = static_cast<int64_t>(threadIdx.x) * N;
  const bool in_range = m < args.num_rows && column < args.width;
  const int64_t row = in_range && args.rows ? args.rows[m] : m;
  const bool stale = in_range && rule.row_step[row] < rule.step;
  const int64_t offset = row * args.width + column;
  A w[N];
  typename AdamRule<A>::template State<N> state;
  if (stale) {
    load<N>(w, args.weight + offset);
    state.load(rule, row, offset);
  }
  __syncthreads();  // all threads of the row have read its counter
  if (!stale) return;
  state.catch_up(rule, w);
  store_weight<N>(args.weight + offset, w, args.rounding, row, args.width, column);
  state.store(rule, row, offset, threadIdx.x == 0);
}

template <typename W, typename A>
RowArgs<W, A> row_args(const at::Tensor& weight, const RowGradient& gradient, const at::Tensor& pieces_PD,
                       const Rounding& rounding) {
  const int64_t num_rows = gradient.rows_M.defined() ? gradient.rows_M.size(0) : weight.size(0);
  return {pointer<W>(weight),
          pointer<const int64_t>(gradient.rows_M),
          contributions<A>(gradient.parts_PD, gradient.segments ? &*gradient.segments : nullptr, pieces_PD),
          pointer<const A>(gradient.head_ID),
          gradient.head_ID.defined() ? num_rows - gradient.head_ID.size(0) : num_rows,
          pointer<const W>(gradient.fixed_ND),
          pointer<const A>(gradient.pull_M),
          pointer<A>(gradient.sum_M),
          num_rows,
          weight.size(1),
          rounding};
}

/// Calls `body(W(), A())` with the types of the table.
template <typename Body>
void dispatch_weight(const at::Tensor& weight, const Body& body) {
  AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, weight.scalar_type(), "row update",
                                 [&] { body(scalar_t{}, Accumulator<scalar_t>{}); });
}

void check(const at::Tensor& weight, const RowGradient& gradient) {
  check_rows(weight, "weight");
  check_rows(gradient.parts_PD, "gradient");
  check_index(gradient.rows_M, "rows");
  check_parts(gradient, weight);
}

/// Launches update_kernel with the rule that `make_rule(W(), A())` builds.
template <typename MakeRule>
void run_update(const at::Tensor& weight, const RowGradient& gradient, const Rounding& rounding,
                const MakeRule& make_rule) {
  check(weight, gradient);
  if (gradient.rows_M.size(0) == 0) return;
  const DeviceGuard guard(weight.device());
  const at::Tensor pieces_PD = gradient.segments ? sum_pieces(gradient.parts_PD, *gradient.segments) : at::Tensor();
  dispatch_weight(weight, [&](auto w, auto a) {
    using W = decltype(w);
    using A = decltype(a);
    const auto args = row_args<W, A>(weight, gradient, pieces_PD, rounding);
    const auto rule = make_rule(a);
    launch(update_kernel<W, A, std::decay_t<decltype(rule)>>, row_grid(args.num_rows, args.width / kLanes<W>), args,
           rule);
  });
}

template <typename A>
AdamRule<A> adam_rule(const at::Tensor& m, const at::Tensor& v, const at::Tensor& row_step, const AdamCall& call) {
  return AdamRule<A>(pointer<A>(m), pointer<A>(v), pointer<int32_t>(row_step), call);
}

}  // namespace

void adam_catch_up(const at::Tensor& weight, const at::Tensor& m, const at::Tensor& v, const at::Tensor& row_step,
                   const at::Tensor& rows_M, const AdamCall& call, const Rounding& rounding) {
  check_rows(weight, "weight");
  RowGradient none;
  none.rows_M = rows_M;
  if (rows_M.defined()) check_index(rows_M, "rows");
  if ((rows_M.defined() ? rows_M.size(0) : weight.size(0)) == 0) return;
  const DeviceGuard guard(weight.device());
  dispatch_weight(weight, [&](auto w, auto a) {
    using W = decltype(w);
    using A = decltype(a);
    const auto args = row_args<W, A>(weight, none, at::Tensor(), rounding);
    AdamRule<A> rule = adam_rule<A>(m, v, row_step, call);
    rule.catch_up_to = call.step;
    launch(catch_up_kernel<W, A>, row_grid(args.num_rows, args.width / kLanes<W>), args, rule);
  });
}

void adam_update(const at::Tensor& weight, const at::Tensor& m, const at::Tensor& v, const at::Tensor& row_step,
                 const RowGradient& gradient, const AdamCall& call, const Rounding& rounding) {
  run_update(weight, gradient, rounding, [&](auto a) { return adam_rule<decltype(a)>(m, v, row_step, call); });
}

void rowwise_adagrad_update(const at::Tensor& weight, const at::Tensor& accumulator, const RowGradient& gradient,
                            double learning_rate, double epsilon, const Rounding& rounding) {
  run_update(weight, gradient, rounding, [&](auto a) {
    using A = decltype(a);
    return AdagradRule<A>{pointer<A>(accumulator), static_cast<A>(learning_rate), static_cast<A>(epsilon)};
  });
}

void sgd_update(const at::Tensor& weight, const RowGradient& gradient, double learning_rate, const Rounding& rounding) {
  run_update(weight, gradient, rounding,
             [&](auto a) { return SgdRule<decltype(a)>{static_cast<decltype(a)>(learning_rate)}; });
}

}  // namespace cllm::kernels::cuda
