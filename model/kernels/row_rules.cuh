#pragma once

// The row optimisers as rules for registers. A rule holds what a call shares; its State<N> holds the moments of N
// columns of one row.

#include <cmath>
#include <cstdint>

#include "model/kernels/pack.cuh"
#include "model/kernels/reduce.cuh"
#include "model/kernels/row_update.h"

namespace cllm::kernels::cuda {

/// fp32 -> bf16, up with the probability of the dropped part: 16 random bits are added below the kept ones. NaN and Inf
/// pass.
__device__ __forceinline__ c10::BFloat16 round_stochastically(float value, uint32_t random16) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof(bits));
  if ((bits & 0x7F800000u) == 0x7F800000u) return c10::BFloat16(value);
  return c10::BFloat16(static_cast<unsigned short>((bits + random16) >> 16), c10::BFloat16::from_bits());
}

/// Writes columns [column, column + N) of a row.
template <int N, typename W, typename A>
__device__ __forceinline__ void store_weight(W* to, const A (&w)[N], const Rounding&, int64_t, int64_t, int64_t) {
  store<N>(to, w);
}

template <int N>
__device__ __forceinline__ void store_weight(c10::BFloat16* to, const float (&w)[N], const Rounding& rounding,
                                             int64_t row, int64_t width, int64_t column) {
  if (rounding.key == 0) return store<N>(to, w);
  const int64_t global = row + (row < rounding.num_users ? rounding.user_shift : rounding.item_shift);
  const uint64_t key = rounding.key + static_cast<uint64_t>(global * width + column);
  float rounded[N];
#pragma unroll
  for (int n = 0; n < N; n += 4) {
    const uint64_t random = mix64(key + static_cast<uint64_t>(n));
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      rounded[n + k] = round_stochastically(w[n + k], static_cast<uint32_t>(random >> (16 * k)) & 0xFFFFu);
    }
  }
  store<N>(to, rounded);
}

/// Skip-aware Adam (METHOD.md §6); row_step null: lazy Adam, whose rows miss nothing.
template <typename A>
struct AdamRule {
  static constexpr bool kNeedsRowSquare = false;

  A* m;
  A* v;
  int32_t* row_step;
  double learning_rate, beta1, beta2;
  A gain1, gain2, keep2, epsilon;  // 1 - beta1, 1 - beta2, beta2
  A rate, root;                    // lr / (1 - beta1^step), 1 / sqrt(1 - beta2^step)
  int64_t step;
  int64_t catch_up_to;  // number of the last zero-gradient update of this call

  AdamRule(A* m_, A* v_, int32_t* row_step_, const AdamCall& call)
      : m(m_), v(v_), row_step(row_step_), learning_rate(call.learning_rate), beta1(call.beta1), beta2(call.beta2),
        gain1(static_cast<A>(1 - call.beta1)), gain2(static_cast<A>(1 - call.beta2)), keep2(static_cast<A>(call.beta2)),
        epsilon(static_cast<A>(call.epsilon)),
        rate(static_cast<A>(call.learning_rate / (1 - std::pow(call.beta1, static_cast<double>(call.step))))),
        root(static_cast<A>(1 / std::sqrt(1 - std::pow(call.beta2, static_cast<double>(call.step))))), step(call.step),
        catch_up_to(call.step - 1) {}

  template <int N>
  struct State {
    A m[N], v[N];
    int64_t seen;

    __device__ __forceinline__ void load(const AdamRule& rule, int64_t row, int64_t offset) {
      cuda::load<N>(m, rule.m + offset);
      cuda::load<N>(v, rule.v + offset);
      seen = rule.row_step ? rule.row_step[row] : rule.catch_up_to;
    }

    /// Updates seen + 1 .. catch_up_to with gradient 0. The step of a row that gets no gradient shrinks by beta1 /
    /// sqrt(beta2) and more each time, so once a step is lost in rounding all later ones are: the rest only decays the
    /// moments.
    __device__ __forceinline__ void catch_up(const AdamRule& rule, A (&w)[N]) {
      if (seen >= rule.catch_up_to) return;
      const bool shrinks = rule.beta1 * rule.beta1 <= rule.beta2;
      double power1 = pow(rule.beta1, static_cast<double>(seen)), power2 = pow(rule.beta2, static_cast<double>(seen));
      for (int64_t t = seen + 1; t <= rule.catch_up_to; ++t) {
        power1 *= rule.beta1;
        power2 *= rule.beta2;
        const A rate_t = static_cast<A>(rule.learning_rate) / static_cast<A>(1 - power1);
        const A root_t = A(1) / sqrt(static_cast<A>(1 - power2));
        bool moved = false;
#pragma unroll
        for (int n = 0; n < N; ++n) {
          m[n] += rule.gain1 * (A(0) - m[n]);
          v[n] *= rule.keep2;
          const A before = w[n];
          w[n] -= rate_t * m[n] / (sqrt(v[n]) * root_t + rule.epsilon);
          moved |= w[n] != before;
        }
        if (!moved && shrinks) {
          decay(rule, static_cast<double>(rule.catch_up_to - t));
          break;
        }
      }
    }

    __device__ __forceinline__ void update(const AdamRule& rule, A (&w)[N], const A (&g)[N], A) {
#pragma unroll
      for (int n = 0; n < N; ++n) {
        m[n] += rule.gain1 * (g[n] - m[n]);
        v[n] = rule.keep2 * v[n] + rule.gain2 * g[n] * g[n];
        w[n] -= rule.rate * m[n] / (sqrt(v[n]) * rule.root + rule.epsilon);
      }
    }

    __device__ __forceinline__ void store(const AdamRule& rule, int64_t row, int64_t offset, bool leader) {
      cuda::store<N>(rule.m + offset, m);
      cuda::store<N>(rule.v + offset, v);
      if (leader && rule.row_step) rule.row_step[row] = static_cast<int32_t>(rule.step);
    }

   private:
    __device__ __forceinline__ void decay(const AdamRule& rule, double updates) {
      const A keep_m = static_cast<A>(pow(rule.beta1, updates)), keep_v = static_cast<A>(pow(rule.beta2, updates));
#pragma unroll
      for (int n = 0; n < N; ++n) {
        m[n] *= keep_m;
        v[n] *= keep_v;
      }
    }
  };
};

/// a <- a + mean(g^2);  w <- w - lr g / (sqrt(a) + eps)
template <typename A>
struct AdagradRule {
  static constexpr bool kNeedsRowSquare = true;

  A* accumulator;
  A learning_rate, epsilon;

  template <int N>
  struct State {
    A sum = 0;

    __device__ __forceinline__ void load(const AdagradRule& rule, int64_t row, int64_t) { sum = rule.accumulator[row]; }
    __device__ __forceinline__ void catch_up(const AdagradRule&, A (&)[N]) {}
    __device__ __forceinline__ void update(const AdagradRule& rule, A (&w)[N], const A (&g)[N], A square) {
      sum += square;
      const A rate = rule.learning_rate / (sqrt(sum) + rule.epsilon);
#pragma unroll
      for (int n = 0; n < N; ++n) w[n] -= rate * g[n];
    }
    __device__ __forceinline__ void store(const AdagradRule& rule, int64_t row, int64_t, bool leader) {
      if (leader) rule.accumulator[row] = sum;
    }
  };
};

template <typename A>
struct SgdRule {
  static constexpr bool kNeedsRowSquare = false;

  A learning_rate;

  template <int N>
  struct State {
    __device__ __forceinline__ void load(const SgdRule&, int64_t, int64_t) {}
    __device__ __forceinline__ void catch_up(const SgdRule&, A (&)[N]) {}
    __device__ __forceinline__ void update(const SgdRule& rule, A (&w)[N], const A (&g)[N], A) {
#pragma unroll
      for (int n = 0; n < N; ++n) w[n] -= rule.learning_rate * g[n];
    }
    __device__ __forceinline__ void store(const SgdRule&, int64_t, int64_t, bool) {}
  };
};

}  // namespace cllm::kernels::cuda
