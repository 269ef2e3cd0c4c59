#pragma once

// A row optimiser is a rule: the arithmetic of one row, written once for the loops of the CPU and the registers of a
// GPU (rows/row_update*). To add one: a header here, and a line in rules.h. The language is C++17, as nvcc's.
//
//   template <typename A>                                   // type of the arithmetic: fp32 or fp64
//   struct XRule {
//     static constexpr const char* kName;                   // optimizer.name
//     static constexpr const char* kDoc;                    // the half line that --help prints
//     static constexpr std::array<StateSpec, n> kState;     // at most two of each kind
//     static constexpr bool kNeedsSquare;                   // wants mean_D(g^2)
//     static constexpr bool kMovesAbsentRows = false;       // see adam.h
//     explicit XRule(const RowCall& call);
//     struct Row {};                                        // what the columns of one row share
//     Row open(A mean_square, A& number, ...) const;        // once a row: its numbers (state per row), in kState's
//     order void move(const Row&, A& w, A g, A& s, ...) const;    // once a column: weight, gradient, the other state
//   };

#include <array>
#include <cmath>
#include <cstdint>

#if defined(__CUDACC__)
#define CLLM_RULE __host__ __device__ __forceinline__
#else
#define CLLM_RULE inline __attribute__((always_inline))
#endif

namespace cllm::kernels {

/// A tensor that a rule keeps beside every row, zero at the start: [rows, D], or [rows] if `per_row`. Checkpoints hold
/// it by this name.
struct StateSpec {
  const char* name;
  bool per_row = false;
};

/// Constants and place in time of one call.
struct RowCall {
  double learning_rate, beta1, beta2, epsilon;
  int64_t step;  // number of the update, from 1
};

/// How many of a rule's states are numbers of a row, and how many are as wide as it.
template <typename Rule>
constexpr int count_states(bool per_row) {
  int count = 0;
  for (int n = 0; n < static_cast<int>(Rule::kState.size()); ++n) count += Rule::kState[n].per_row == per_row ? 1 : 0;
  return count;
}
constexpr int kMostStates = 2;  // of either kind

}  // namespace cllm::kernels
