#pragma once

#include <limits>

#include "model/kernels/rules/rule.h"

namespace cllm::kernels {

/// Kingma & Ba 2015, algorithm 1, skip-aware (METHOD.md §6): a row that got no gradient is owed updates with gradient
/// 0, which are made up before it is next read. Rules that move absent rows have, beside move(), what makes them up.
template <typename A>
struct AdamRule {
  static constexpr const char* kName = "adam";
  static constexpr const char* kDoc = "the semantics of dense Adam at the cost of the touched rows";
  static constexpr std::array<StateSpec, 2> kState{{{"moment1"}, {"moment2"}}};
  static constexpr bool kNeedsSquare = false, kMovesAbsentRows = true;

  struct Row {};
  /// The two factors of an update that only depend on its number t: lr / (1 - b1^t) and 1 / sqrt(1 - b2^t).
  struct Pace {
    A rate, root;
  };
  struct Powers {
    double beta1, beta2;  // b1^t, b2^t
  };
  struct Decay {
    A m, v;
  };

  double learning_rate, beta1, beta2;
  A gain1, gain2, keep2, epsilon;  // 1 - b1, 1 - b2, b2
  Pace now;

  CLLM_RULE explicit AdamRule(const RowCall& call)
      : learning_rate(call.learning_rate), beta1(call.beta1), beta2(call.beta2), gain1(static_cast<A>(1 - call.beta1)),
        gain2(static_cast<A>(1 - call.beta2)), keep2(static_cast<A>(call.beta2)), epsilon(static_cast<A>(call.epsilon)),
        now(pace<double>(powers(static_cast<double>(call.step)))) {}

  CLLM_RULE Row open(A) const { return {}; }

  CLLM_RULE void move(const Row&, A& w, A g, A& m, A& v) const {
    m += gain1 * (g - m);
    v = keep2 * v + gain2 * g * g;
    w -= now.rate * m / (std::sqrt(v) * now.root + epsilon);
  }

  CLLM_RULE Powers powers(double updates) const { return {std::pow(beta1, updates), std::pow(beta2, updates)}; }

  /// P: the type in which the factors are computed.
  template <typename P>
  CLLM_RULE Pace pace(const Powers& of) const {
    return {static_cast<A>(static_cast<P>(learning_rate) / static_cast<P>(1 - of.beta1)),
            static_cast<A>(P(1) / std::sqrt(static_cast<P>(1 - of.beta2)))};
  }

  /// Of the next update.
  template <typename P>
  CLLM_RULE Pace next_pace(Powers& last) const {
    last.beta1 *= beta1;
    last.beta2 *= beta2;
    return pace<P>(last);
  }

  /// move() with gradient 0.
  CLLM_RULE void miss(const Pace& pace, A& w, A& m, A& v) const {
    m -= gain1 * m;
    v *= keep2;
    w -= pace.rate * m / (std::sqrt(v) * pace.root + epsilon);
  }

  /// Many of them, of which none moves the weight any more.
  CLLM_RULE Decay decay(double updates) const {
    const Powers of = powers(updates);
    return {static_cast<A>(of.beta1), static_cast<A>(of.beta2)};
  }
  CLLM_RULE void fade(const Decay& by, A& m, A& v) const {
    m *= by.m;
    v *= by.v;
  }

  /// Whether each of a row's missed updates is smaller than the one before: the step of a row that gets no gradient
  /// shrinks by b1 / sqrt(b2) and more each time, so once one is lost in rounding all later ones are.
  CLLM_RULE bool shrinks() const { return beta1 * beta1 <= beta2; }

  /// After how many updates without gradient a row has stopped to move. With rho = b1 / sqrt(b2), update n of them
  /// moves a coordinate by at most c lr rho^n, c = (1 - b1) / sqrt((1 - b2)(1 - b1^2 / b2)) (Cauchy-Schwarz on |m| /
  /// sqrt(v)), and all from n on by at most c lr rho^n / (1 - rho). n is where this falls below lr 2^-30 in fp32 (240
  /// for the usual constants) and lr 2^-60 in fp64 (438): less than half a unit in the last place of every weight above
  /// lr / 50. Later updates only shrink m and v, in closed form.
  static int64_t visible_updates(const RowCall& call) {
    const double rho = call.beta1 / std::sqrt(call.beta2);
    if (rho >= 1) return std::numeric_limits<int64_t>::max();
    const double c = (1 - call.beta1) / std::sqrt((1 - call.beta2) * (1 - rho * rho));
    const int digits = sizeof(A) == sizeof(float) ? 30 : 60;
    return static_cast<int64_t>(std::ceil(std::log(std::ldexp((1 - rho) / c, -digits)) / std::log(rho)));
  }
};

}  // namespace cllm::kernels
