#pragma once

// A rule's state in the registers of one thread: N columns of a row, and the row's numbers, which all its threads hold.

#include <cstdint>
#include <utility>

#include "model/kernels/device/pack.cuh"
#include "model/kernels/rows/row_update.h"

namespace cllm::kernels::cuda {

/// Raw pointers of a table's state, in the rule's order.
template <typename A>
struct StatePointers {
  A* numbers[kMostStates];
  A* columns[kMostStates];
  int32_t* row_step;  // null: rows miss nothing
};

template <int N, typename Rule, typename A>
class RegisterState {
 public:
  __device__ __forceinline__ void load(const StatePointers<A>& from, int64_t row, int64_t offset) {
#pragma unroll
    for (int k = 0; k < kColumns; ++k) cuda::load<N>(columns_[k], from.columns[k] + offset);
#pragma unroll
    for (int k = 0; k < kNumbers; ++k) numbers_[k] = from.numbers[k][row];
    if (Rule::kMovesAbsentRows) seen_ = from.row_step[row];
  }

  /// Updates seen + 1 .. last with gradient 0. Once none moves a weight any more, the rest only decays the state.
  __device__ __forceinline__ void catch_up(const Rule& rule, int64_t last, A (&w)[N]) {
    catch_up(rule, last, w, std::make_index_sequence<kColumns>());
  }

  /// mean_square: 0 unless the rule wants it.
  __device__ __forceinline__ void update(const Rule& rule, A (&w)[N], const A (&g)[N], A mean_square) {
    update(rule, w, g, mean_square, std::make_index_sequence<kNumbers>(), std::make_index_sequence<kColumns>());
  }

  /// leader: the one thread of the row that writes what all of them hold.
  __device__ __forceinline__ void store(const StatePointers<A>& to, int64_t row, int64_t offset, bool leader,
                                        int64_t step) {
#pragma unroll
    for (int k = 0; k < kColumns; ++k) cuda::store<N>(to.columns[k] + offset, columns_[k]);
    if (!leader) return;
#pragma unroll
    for (int k = 0; k < kNumbers; ++k) to.numbers[k][row] = numbers_[k];
    if (Rule::kMovesAbsentRows) to.row_step[row] = static_cast<int32_t>(step);
  }

 private:
  static constexpr int kNumbers = count_states<Rule>(true), kColumns = count_states<Rule>(false);

  template <size_t... K>
  __device__ __forceinline__ void catch_up(const Rule& rule, int64_t last, A (&w)[N], std::index_sequence<K...>) {
    if (seen_ >= last) return;
    const bool shrinks = rule.shrinks();
    auto powers = rule.powers(static_cast<double>(seen_));
    for (int64_t t = seen_ + 1; t <= last; ++t) {
      const auto pace = rule.template next_pace<A>(powers);
      bool moved = false;
#pragma unroll
      for (int n = 0; n < N; ++n) {
        const A before = w[n];
        rule.miss(pace, w[n], columns_[K][n]...);
        moved |= w[n] != before;
      }
      if (!moved && shrinks) {
        const auto decay = rule.decay(static_cast<double>(last - t));
#pragma unroll
        for (int n = 0; n < N; ++n) rule.fade(decay, columns_[K][n]...);
        break;
      }
    }
  }

  template <size_t... R, size_t... K>
  __device__ __forceinline__ void update(const Rule& rule, A (&w)[N], const A (&g)[N], A mean_square,
                                         std::index_sequence<R...>, std::index_sequence<K...>) {
    const typename Rule::Row row = rule.open(mean_square, numbers_[R]...);
#pragma unroll
    for (int n = 0; n < N; ++n) rule.move(row, w[n], g[n], columns_[K][n]...);
  }

  A columns_[kColumns > 0 ? kColumns : 1][N];
  A numbers_[kNumbers > 0 ? kNumbers : 1] = {};
  int64_t seen_ = 0;
};

}  // namespace cllm::kernels::cuda
