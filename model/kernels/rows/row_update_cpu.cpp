#include <ATen/Parallel.h>
#include <c10/util/BFloat16.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "model/kernels/compute_dtype.h"
#include "model/kernels/rows/cuda.h"
#include "model/kernels/rows/row_loop.h"
#include "model/kernels/rules/rules.h"

namespace cllm::kernels {
namespace {

template <typename Rule>
using Numbers = std::make_index_sequence<count_states<Rule>(/*per_row=*/true)>;
template <typename Rule>
using Columns = std::make_index_sequence<count_states<Rule>(/*per_row=*/false)>;

template <typename T>
CLLM_INLINE bool is_zero(const T* x, int64_t D) {
  bool zero = true;
  for (int64_t d = 0; d < D; ++d) zero &= x[d] == 0;
  return zero;
}

/// False for a row that never had a gradient: missed updates leave it where it is, and its pages of zeros stay
/// untouched.
template <typename Loop, size_t... S>
CLLM_INLINE bool has_moments(const Loop& loop, int64_t row, std::index_sequence<S...>) {
  return (!is_zero(loop.columns[S] + row * loop.D, loop.D) || ...);
}

template <typename Rule, typename T, typename... State>
CLLM_INLINE void make_up(const Rule& rule, int64_t first_step, int64_t last_step, int64_t visible_updates, int64_t D,
                         T* __restrict w, State* __restrict... state) {
  const int64_t moving = std::min(last_step - first_step, visible_updates), rest = last_step - first_step - moving;
  auto powers = rule.powers(static_cast<double>(first_step));
  for (int64_t n = 0; n < moving; ++n) {
    const auto pace = rule.template next_pace<double>(powers);
    CLLM_SIMD
    for (int64_t d = 0; d < D; ++d) rule.miss(pace, w[d], state[d]...);
  }
  if (rest == 0) return;
  const auto decay = rule.decay(static_cast<double>(rest));
  CLLM_SIMD
  for (int64_t d = 0; d < D; ++d) rule.fade(decay, state[d]...);
}

/// The updates row_step + 1 .. last_step of a row.
template <typename Rule, typename W, typename T, size_t... S>
CLLM_INLINE void missed_updates(const Rule& rule, const RowLoop<W, T>& loop, int64_t row, T* w, int64_t last_step,
                                std::index_sequence<S...>) {
  make_up(rule, loop.row_step[row], last_step, loop.visible_updates, loop.D, w, loop.columns[S] + row * loop.D...);
}

template <typename Rule, typename W, typename T>
CLLM_INLINE void catch_up_range(const RowLoop<W, T>& loop, int64_t begin, int64_t end) {
  RowWeights<W, T> weights(loop);
  const Rule rule(loop.call);
  for (int64_t n = begin; n < end; ++n) {
    const int64_t row = loop.rows != nullptr ? loop.rows[n] : n;
    if (loop.row_step[row] >= loop.call.step) continue;
    if (has_moments(loop, row, Columns<Rule>())) {
      missed_updates(rule, loop, row, weights.open(row), loop.call.step, Columns<Rule>());
      weights.close(row);
    }
    loop.row_step[row] = static_cast<int32_t>(loop.call.step);
  }
}

template <typename Rule, typename W, typename T, size_t... S>
CLLM_INLINE typename Rule::Row open_row(const Rule& rule, const RowLoop<W, T>& loop, [[maybe_unused]] int64_t row,
                                        const T* g, std::index_sequence<S...>) {
  double square = 0;
  if constexpr (Rule::kNeedsSquare) {
    for (int64_t d = 0; d < loop.D; ++d) square += static_cast<double>(g[d]) * static_cast<double>(g[d]);
  }
  return rule.open(static_cast<T>(square / static_cast<double>(loop.D)), loop.numbers[S][row]...);
}

template <typename Rule, typename T, typename... State>
CLLM_INLINE void move_row(const Rule& rule, const typename Rule::Row& shared, int64_t D, T* __restrict w,
                          const T* __restrict g, State* __restrict... state) {
  CLLM_SIMD
  for (int64_t d = 0; d < D; ++d) rule.move(shared, w[d], g[d], state[d]...);
}

template <typename Rule, typename W, typename T, size_t... S>
CLLM_INLINE void update_range(const RowLoop<W, T>& loop, int64_t begin, int64_t end,
                              std::index_sequence<S...> columns) {
  RowWeights<W, T> weights(loop);
  RowSums<W, T> gradients(loop);
  const Rule rule(loop.call);
  for (int64_t n = begin; n < end; ++n) {
    const int64_t row = loop.rows[n];
    T* __restrict w = weights.open(row);
    if constexpr (Rule::kMovesAbsentRows) {
      const int64_t last = loop.call.step - 1;
      if (loop.row_step[row] < last && has_moments(loop, row, columns)) {
        missed_updates(rule, loop, row, w, last, columns);
      }
      loop.row_step[row] = static_cast<int32_t>(loop.call.step);
    }
    const T* __restrict g = gradients.of(n, row, w);
    const auto shared = open_row(rule, loop, row, g, Numbers<Rule>());
    move_row(rule, shared, loop.D, w, g, loop.columns[S] + row * loop.D...);
    weights.close(row);
  }
}

enum class Work { kUpdate, kCatchUp };

template <typename Rule, typename Loop>
CLLM_INLINE void run_rule(Work work, const Loop& loop, int64_t begin, int64_t end) {
  if constexpr (Rule::kMovesAbsentRows) {
    if (work == Work::kCatchUp) return catch_up_range<Rule>(loop, begin, end);
  }
  update_range<Rule>(loop, begin, end, Columns<Rule>());
}

template <typename W, typename T, template <typename> class... Rule>
CLLM_INLINE void run_numbered(RuleList<Rule...>, int number, Work work, const RowLoop<W, T>& loop, int64_t begin,
                              int64_t end) {
  int n = 0;
  ((n++ == number ? run_rule<Rule<T>>(work, loop, begin, end) : void()), ...);
}

// target_clones wants plain functions: one per precision.
using FloatLoop = RowLoop<float, float>;
using DoubleLoop = RowLoop<double, double>;
using Bf16Loop = RowLoop<at::BFloat16, float>;
CLLM_VECTOR_CLONES void run_range(int rule, Work work, const FloatLoop& loop, int64_t begin, int64_t end) {
  run_numbered(RowRules(), rule, work, loop, begin, end);
}
CLLM_VECTOR_CLONES void run_range(int rule, Work work, const DoubleLoop& loop, int64_t begin, int64_t end) {
  run_numbered(RowRules(), rule, work, loop, begin, end);
}
CLLM_VECTOR_CLONES void run_range(int rule, Work work, const Bf16Loop& loop, int64_t begin, int64_t end) {
  run_numbered(RowRules(), rule, work, loop, begin, end);
}

/// Rule::visible_updates of a rule that moves absent rows.
template <typename T, template <typename> class... Rule>
int64_t visible_updates(RuleList<Rule...>, int number, const RowCall& call) {
  int64_t out = 0;
  int n = 0;
  const auto of = [&]<typename One>(const One*) {
    if constexpr (One::kMovesAbsentRows) out = One::visible_updates(call);
  };
  ((n++ == number ? of(static_cast<const Rule<T>*>(nullptr)) : void()), ...);
  return out;
}

void check(const RowRule& rule, const RowTensors& table, const RowGradient& gradient, Work work) {
  TORCH_CHECK(table.weight.is_cpu() && table.weight.is_contiguous(), "the row optimisers need a contiguous CPU table");
  const at::Tensor& rows_M = gradient.rows_M;
  if (rows_M.defined()) TORCH_CHECK(rows_M.is_contiguous() && rows_M.scalar_type() == at::kLong, "rows must be int64");
  if (work == Work::kUpdate) check_parts(gradient, table.weight);
  check_state(rule, table);
}

template <typename T>
T* pointer(const at::Tensor& tensor) {
  return tensor.defined() ? tensor.mutable_data_ptr<T>() : nullptr;
}

template <typename W, typename T>
void run(const RowRule& rule, Work work, const RowTensors& table, const RowGradient& gradient, const RowCall& call,
         const Rounding& rounding) {
  const auto& [rows_M, parts_PD, segments, head_ID, fixed_ND, pull_M, sum_M] = gradient;
  const int64_t count = rows_M.defined() ? rows_M.size(0) : table.weight.size(0);
  RowLoop<W, T> loop{.weight = pointer<W>(table.weight),
                     .numbers = {},
                     .columns = {},
                     .row_step = pointer<int32_t>(table.row_step),
                     .rows = pointer<int64_t>(rows_M),
                     .parts = pointer<T>(parts_PD),
                     .order = segments ? pointer<int64_t>(segments->order_T) : nullptr,
                     .offsets = segments ? pointer<int64_t>(segments->offsets_M1) : nullptr,
                     .head = pointer<T>(head_ID),
                     .first_of_head = head_ID.defined() ? count - head_ID.size(0) : count,
                     .fixed = pointer<W>(fixed_ND),
                     .pull = pointer<T>(pull_M),
                     .sum = pointer<T>(sum_M),
                     .D = table.weight.size(1),
                     .call = call,
                     .visible_updates = visible_updates<T>(RowRules(), rule.number, call),
                     .rounding = rounding};
  T **number = loop.numbers, **column = loop.columns;
  for (size_t n = 0; n < table.state.size(); ++n) {
    *(rule.state[n].per_row ? number : column)++ = pointer<T>(table.state[n]);
  }
  const int64_t grain =
      std::max<int64_t>(1, 16384 / std::max<int64_t>(1, loop.D));  // rows: 64 KB of fp32 weights per piece
  at::parallel_for(0, count, grain,
                   [&](int64_t begin, int64_t end) { run_range(rule.number, work, loop, begin, end); });
}

void dispatch(const RowRule& rule, Work work, const RowTensors& table, const RowGradient& gradient, const RowCall& call,
              const Rounding& rounding) {
  check(rule, table, gradient, work);
  switch (table.weight.scalar_type()) {
    case at::kFloat: return run<float, float>(rule, work, table, gradient, call, rounding);
    case at::kDouble: return run<double, double>(rule, work, table, gradient, call, rounding);
    case at::kBFloat16: return run<at::BFloat16, float>(rule, work, table, gradient, call, rounding);
    default: TORCH_CHECK(false, "tables are fp32, fp64 or bf16, found ", table.weight.scalar_type());
  }
}

}  // namespace

void check_state(const RowRule& rule, const RowTensors& table) {
  TORCH_CHECK(table.state.size() == rule.state.size(), rule.name, " keeps ", rule.state.size(), " states, given ",
              table.state.size());
  const int64_t rows = table.weight.size(0), D = table.weight.size(1);
  for (size_t n = 0; n < rule.state.size(); ++n) {
    const at::Tensor& state = table.state[n];
    TORCH_CHECK(state.defined() && state.is_contiguous() && state.device() == table.weight.device() &&
                    state.scalar_type() == residual_dtype(table.weight.scalar_type()) &&
                    state.numel() == (rule.state[n].per_row ? rows : rows * D),
                "the state ", rule.state[n].name, " of ", rule.name, " does not fit its table");
  }
  TORCH_CHECK(!rule.moves_absent_rows || (table.row_step.defined() && table.row_step.is_contiguous() &&
                                          table.row_step.scalar_type() == at::kInt && table.row_step.numel() == rows),
              rule.name, " counts the updates of every row");
}

void update_rows(const RowRule& rule, const RowTensors& table, const RowGradient& gradient, const RowCall& call,
                 const Rounding& rounding) {
  if (!table.weight.is_cpu()) return cuda::update_rows(rule, table, gradient, call, rounding);
  dispatch(rule, Work::kUpdate, table, gradient, call, rounding);
}

void catch_up_rows(const RowRule& rule, const RowTensors& table, const at::Tensor& rows_M, const RowCall& call,
                   const Rounding& rounding) {
  TORCH_CHECK(rule.moves_absent_rows, rule.name, " leaves absent rows alone");
  if (!table.weight.is_cpu()) return cuda::catch_up_rows(rule, table, rows_M, call, rounding);
  dispatch(rule, Work::kCatchUp, table, {.rows_M = rows_M}, call, rounding);
}

}  // namespace cllm::kernels
