#pragma once

#include <cstdint>
#include <vector>

#include "dist/communicator/communicator.h"

namespace cllm {

/// 95 % of the bootstrap's means lie between.
struct Interval {
  double low = 0, high = 0;
  friend bool operator==(const Interval&, const Interval&) = default;
};

/// Values of this rank's users: values[n * width + m] is metric m of users[n].
struct UserValues {
  size_t width = 0;
  std::vector<int64_t> users;
  std::vector<double> values;

  void add(int64_t user, const std::vector<double>& of_user);
};

/// All ranks' values, ascending by user, on every rank: the same for any world size. Users are distinct. Collective.
UserValues gather(Communicator& comm, const UserValues& mine);

/// Percentile intervals of the means over users, one per metric, from `resamples` (at least 1) draws of as many users
/// with replacement (Efron and Tibshirani 1993, §13.3). `all` is gather()'s; the same for any world size. O(resamples x
/// users x width / ranks). Collective.
std::vector<Interval> bootstrap_means(Communicator& comm, const UserValues& all, int64_t resamples, uint64_t seed);

}  // namespace cllm
