#include "model/evaluation/bootstrap.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "data/random.h"

namespace cllm {
namespace {

constexpr double kOutside = 0.025;  // on either side of the interval

/// Rows [n_r, C] of every rank, in rank order.
at::Tensor gather_rows(Communicator& comm, const at::Tensor& mine) {
  const auto on_device = mine.options().dtype(at::kLong).device(comm.device());
  at::Tensor counts = at::empty({comm.world_size()}, on_device);
  comm.all_gather(counts, at::empty({1}, at::kLong).fill_(mine.size(0)).to(comm.device()),
                  std::vector<int64_t>(static_cast<size_t>(comm.world_size()), 1));
  const at::Tensor on_host = counts.cpu();
  const std::span<const int64_t> rows(on_host.const_data_ptr<int64_t>(), static_cast<size_t>(comm.world_size()));
  at::Tensor all = at::empty({std::accumulate(rows.begin(), rows.end(), int64_t{0}), mine.size(1)},
                             mine.options().device(comm.device()));
  comm.all_gather(all, mine.to(comm.device()), rows);
  return all.cpu();
}

/// Linear between the two nearest of `ascending`.
double percentile(const std::vector<double>& ascending, double share) {
  const double place = share * static_cast<double>(ascending.size() - 1);
  const auto below = static_cast<size_t>(std::floor(place));
  const size_t above = std::min(below + 1, ascending.size() - 1);
  return ascending[below] + (place - static_cast<double>(below)) * (ascending[above] - ascending[below]);
}

}  // namespace

void UserValues::add(int64_t user, const std::vector<double>& of_user) {
  width = of_user.size();
  users.push_back(user);
  values.insert(values.end(), of_user.begin(), of_user.end());
}

UserValues gather(Communicator& comm, const UserValues& mine) {
  at::Tensor width = at::empty({1}, at::kLong).fill_(static_cast<int64_t>(mine.width));
  comm.all_reduce(width, ReduceOp::kMax);  // a rank without users does not know it
  const auto C = static_cast<size_t>(width.item<int64_t>());
  at::Tensor rows = at::empty({static_cast<int64_t>(mine.users.size()), static_cast<int64_t>(C) + 1}, at::kDouble);
  double* const packed = rows.mutable_data_ptr<double>();
  for (size_t n = 0; n < mine.users.size(); ++n) {
    packed[n * (C + 1)] = static_cast<double>(mine.users[n]);
    std::copy_n(mine.values.begin() + static_cast<std::ptrdiff_t>(n * C), C, packed + n * (C + 1) + 1);
  }
  const at::Tensor all = gather_rows(comm, rows);
  const double* const gathered = all.const_data_ptr<double>();
  std::vector<size_t> order(static_cast<size_t>(all.size(0)));
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::sort(order, {}, [&](size_t n) { return gathered[n * (C + 1)]; });
  UserValues out{.width = C, .users = {}, .values = {}};
  for (const size_t n : order) {
    const double* const row = gathered + n * (C + 1);
    out.users.push_back(static_cast<int64_t>(row[0]));
    out.values.insert(out.values.end(), row + 1, row + 1 + C);
  }
  return out;
}

std::vector<Interval> bootstrap_means(Communicator& comm, const UserValues& all, int64_t resamples, uint64_t seed) {
  const size_t C = all.width, num_users = all.users.size();
  if (num_users == 0) return std::vector<Interval>(C);
  at::Tensor means = at::zeros({resamples, static_cast<int64_t>(C)}, at::kDouble);  // others' rows stay 0: exact sums
  double* const out = means.mutable_data_ptr<double>();
  for (int64_t n = comm.rank(); n < resamples; n += comm.world_size()) {
    CounterRng draws(stream_key(seed, Purpose::kBootstrap, static_cast<uint64_t>(n)));
    double* const mean = out + static_cast<size_t>(n) * C;
    for (size_t draw = 0; draw < num_users; ++draw) {
      const double* const row = all.values.data() + draws.below(num_users) * C;
      for (size_t m = 0; m < C; ++m) mean[m] += row[m];
    }
    for (size_t m = 0; m < C; ++m) mean[m] /= static_cast<double>(num_users);
  }
  comm.all_reduce(means, ReduceOp::kSum);
  std::vector<Interval> intervals;
  for (size_t m = 0; m < C; ++m) {
    std::vector<double> column;
    for (size_t n = 0; n < static_cast<size_t>(resamples); ++n) column.push_back(out[n * C + m]);
    std::ranges::sort(column);
    intervals.push_back({percentile(column, kOutside), percentile(column, 1 - kOutside)});
  }
  return intervals;
}

}  // namespace cllm
