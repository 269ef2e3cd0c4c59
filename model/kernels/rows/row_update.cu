#include "model/kernels/rows/row_update.h"

#include <ATen/Dispatch.h>

#include "model/kernels/device/check.cuh"
#include "model/kernels/device/reduce.cuh"
#include "model/kernels/rows/cuda.h"
#include "model/kernels/rows/row_gradient.cuh"
#include "model/kernels/rows/row_rounding.cuh"
#include "model/kernels/rows/row_state.cuh"
#include "model/kernels/rows/segment_sum.h"
#include "model/kernels/rules/rules.h"

namespace cllm::kernels::cuda {
namespace {

/// Raw pointers of one call. W: type of the weights, A: of all the rest.
template <typename W, typename A>
struct RowArgs {
  W* weight;
  StatePointers<A> state;
  const int64_t* rows;  // null: row m is m
  Contributions<A> parts;
  const A* head;
  int64_t first_of_head;  // row m
  const W* fixed;
  const A* pull;
  A* sum;
  int64_t num_rows, width, step;
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
  RegisterState<N, Rule, A> state;
  if (active) {
    load<N>(w, args.weight + offset);
    state.load(args.state, row, offset);
    add_gradient<N>(g, args.parts, m, args.width, column);
    if (args.head && m >= args.first_of_head) {
      A head[N];
      load<N>(head, args.head + (m - args.first_of_head) * args.width + column);
#pragma unroll
      for (int n = 0; n < N; ++n) g[n] += head[n];
    }
    if constexpr (Rule::kMovesAbsentRows) state.catch_up(rule, args.step - 1, w);
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
  if constexpr (Rule::kNeedsSquare) {
#pragma unroll
    for (int n = 0; n < N; ++n) square += g[n] * g[n];
    square = combine_row(square, scratch, Sum{}) / static_cast<A>(args.width);
  }
  __syncthreads();  // all threads of the row have read its counter and numbers
  if (!active) return;
  state.update(rule, w, g, square);
  store_weight<N>(args.weight + offset, w, args.rounding, row, args.width, column);
  state.store(args.state, row, offset, threadIdx.x == 0, args.step);
}

/// Zero-gradient updates only.
template <typename W, typename A, typename Rule>
__global__ void __launch_bounds__(1024) catch_up_kernel(RowArgs<W, A> args, Rule rule) {
  constexpr int N = kLanes<W>;
  const int64_t m = static_cast<int64_t>(blockIdx.x) * blockDim.y + threadIdx.y;
  const int64_t column = static_cast<int64_t>(threadIdx.x) * N;
  const bool in_range = m < args.num_rows && column < args.width;
  const int64_t row = in_range && args.rows ? args.rows[m] : m;
  const bool stale = in_range && args.state.row_step[row] < args.step;
  const int64_t offset = row * args.width + column;
  A w[N];
  RegisterState<N, Rule, A> state;
  if (stale) {
    load<N>(w, args.weight + offset);
    state.load(args.state, row, offset);
  }
  __syncthreads();  // all threads of the row have read its counter
  if (!stale) return;
  state.catch_up(rule, args.step, w);
  store_weight<N>(args.weight + offset, w, args.rounding, row, args.width, column);
  state.store(args.state, row, offset, threadIdx.x == 0, args.step);
}

template <typename A>
StatePointers<A> state_pointers(const RowRule& rule, const RowTensors& table) {
  StatePointers<A> out{{}, {}, rule.moves_absent_rows ? pointer<int32_t>(table.row_step) : nullptr};
  A **number = out.numbers, **column = out.columns;
  for (size_t n = 0; n < table.state.size(); ++n) {
    *(rule.state[n].per_row ? number : column)++ = pointer<A>(table.state[n]);
  }
  return out;
}

template <typename W, typename A>
RowArgs<W, A> row_args(const RowRule& rule, const RowTensors& table, const RowGradient& gradient,
                       const at::Tensor& pieces_PD, int64_t step, const Rounding& rounding) {
  const int64_t num_rows = gradient.rows_M.defined() ? gradient.rows_M.size(0) : table.weight.size(0);
  return {pointer<W>(table.weight),
          state_pointers<A>(rule, table),
          pointer<const int64_t>(gradient.rows_M),
          contributions<A>(gradient.parts_PD, gradient.segments ? &*gradient.segments : nullptr, pieces_PD),
          pointer<const A>(gradient.head_ID),
          gradient.head_ID.defined() ? num_rows - gradient.head_ID.size(0) : num_rows,
          pointer<const W>(gradient.fixed_ND),
          pointer<const A>(gradient.pull_M),
          pointer<A>(gradient.sum_M),
          num_rows,
          table.weight.size(1),
          step,
          rounding};
}

template <typename Rule, typename W, typename A>
void launch_update(const RowArgs<W, A>& args, const RowCall& call) {
  launch(update_kernel<W, A, Rule>, row_grid(args.num_rows, args.width / kLanes<W>), args, Rule(call));
}

template <typename Rule, typename W, typename A>
void launch_catch_up(const RowArgs<W, A>& args, const RowCall& call) {
  if constexpr (Rule::kMovesAbsentRows) {
    launch(catch_up_kernel<W, A, Rule>, row_grid(args.num_rows, args.width / kLanes<W>), args, Rule(call));
  }
}

template <typename W, typename A, template <typename> class... Rule>
void launch_numbered(RuleList<Rule...>, int number, bool catches_up, const RowArgs<W, A>& args, const RowCall& call) {
  int n = 0;
  ((n++ != number ? void()
    : catches_up  ? launch_catch_up<Rule<A>>(args, call)
                  : launch_update<Rule<A>>(args, call)),
   ...);
}

void run(const RowRule& rule, bool catches_up, const RowTensors& table, const RowGradient& gradient,
         const at::Tensor& pieces_PD, const RowCall& call, const Rounding& rounding) {
  AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, table.weight.scalar_type(), "row update", [&] {
    using A = Accumulator<scalar_t>;
    const auto args = row_args<scalar_t, A>(rule, table, gradient, pieces_PD, call.step, rounding);
    launch_numbered(RowRules(), rule.number, catches_up, args, call);
  });
}

}  // namespace

void catch_up_rows(const RowRule& rule, const RowTensors& table, const at::Tensor& rows_M, const RowCall& call,
                   const Rounding& rounding) {
  check_rows(table.weight, "weight");
  check_state(rule, table);
  RowGradient none;
  none.rows_M = rows_M;
  if (rows_M.defined()) check_index(rows_M, "rows");
  if ((rows_M.defined() ? rows_M.size(0) : table.weight.size(0)) == 0) return;
  const DeviceGuard guard(table.weight.device());
  run(rule, /*catches_up=*/true, table, none, at::Tensor(), call, rounding);
}

void update_rows(const RowRule& rule, const RowTensors& table, const RowGradient& gradient, const RowCall& call,
                 const Rounding& rounding) {
  check_rows(table.weight, "weight");
  check_state(rule, table);
  check_rows(gradient.parts_PD, "gradient");
  check_index(gradient.rows_M, "rows");
  check_parts(gradient, table.weight);
  if (gradient.rows_M.size(0) == 0) return;
  const DeviceGuard guard(table.weight.device());
  const at::Tensor pieces_PD = gradient.segments ? sum_pieces(gradient.parts_PD, *gradient.segments) : at::Tensor();
  run(rule, /*catches_up=*/false, table, gradient, pieces_PD, call, rounding);
}

}  // namespace cllm::kernels::cuda
