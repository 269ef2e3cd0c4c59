// Times the all-to-all of rows between ranks beside two limits of the same run: one message of the same bytes from
// every rank to its neighbour (the line rate; of a world of one, loop-back, a copy) and, for a whole fetch, the
// all-to-all alone. One JSON line each.
//   mpirun -n R exchange_bench [--device cpu|cuda --rows 65536 --width 768 --repeats 20]

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/ones.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <functional>

#include "data/random.h"
#include "dist/communicator/mpi_session.h"
#include "dist/device/device.h"
#include "dist/rows/row_exchange.h"
#include "launch/run/connect.h"
#include "model/kernels/rows/rows.h"
#include "model/step/phases.h"

namespace {

using namespace cllm;

struct Arguments {
  std::string device = "cpu";
  int64_t rows = 65536, width = 768, repeats = 20;
};

/// Seconds of the slowest rank, sorted.
std::vector<double> time(const Arguments& arguments, Communicator& comm, at::Device device,
                         const std::function<void()>& work) {
  std::vector<double> seconds;
  for (int64_t n = -3; n < arguments.repeats; ++n) {
    synchronize(device);
    comm.barrier();
    Stopwatch watch;
    work();
    synchronize(device);
    at::Tensor slowest = at::ones({1}, at::kDouble).mul_(watch.lap());
    comm.all_reduce(slowest, ReduceOp::kMax);
    if (n >= 0) seconds.push_back(slowest.item<double>());
  }
  std::sort(seconds.begin(), seconds.end());
  return seconds;
}

double percentile(const std::vector<double>& sorted, double p) {
  return sorted[static_cast<size_t>(p * static_cast<double>(sorted.size() - 1))];
}

void print(const char* what, const Communicator& comm, double bytes, const std::vector<double>& seconds,
           const std::vector<double>& limit, const char* limit_name) {
  if (comm.rank() != 0) return;
  const double p50 = percentile(seconds, 0.5), best = percentile(limit, 0.5);
  std::printf(
      "{\"what\": \"%s\", \"ranks\": %d, \"mib_per_rank\": %.1f, \"p10_s\": %.6f, \"p50_s\": %.6f, \"p90_s\": %.6f, "
      "\"gb_per_s\": %.2f, \"limit\": \"%s\", \"limit_gb_per_s\": %.2f, \"ratio\": %.3f}\n",
      what, comm.world_size(), bytes / (1 << 20), percentile(seconds, 0.1), p50, percentile(seconds, 0.9),
      bytes / p50 / 1e9, limit_name, bytes / best / 1e9, best / p50);
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  MpiSession mpi(&argc, &argv);
  Arguments arguments;
  CLI::App app;
  app.add_option("--device", arguments.device)->check(CLI::IsMember({"cpu", "cuda"}));
  app.add_option("--rows", arguments.rows);
  app.add_option("--width", arguments.width);
  app.add_option("--repeats", arguments.repeats)->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);
  at::set_num_threads(1);

  const auto comm = connect(mpi, {.device = arguments.device});
  const at::Device device = open_device(mpi, {.device = arguments.device});
  const int R = comm->world_size(), me = comm->rank();
  const int64_t share = arguments.rows / R, total = share * R;  // rows to each rank
  const at::Tensor in = at::ones({total, arguments.width}, at::kFloat).to(device);
  at::Tensor out = at::empty_like(in);
  const std::vector<int64_t> equal(R, share);
  std::vector<int64_t> to_next(R, 0), from_last(R, 0);
  to_next[(me + 1) % R] = from_last[(me + R - 1) % R] = R == 1 ? total : share * (R - 1);
  const at::Tensor sent = in.narrow(0, 0, to_next[(me + 1) % R]);
  at::Tensor arrived = out.narrow(0, 0, sent.size(0));

  const double bytes = static_cast<double>(sent.nbytes());  // that leave a rank; of a world of one: that are copied
  const auto line = time(arguments, *comm, device, [&] {
    R == 1 ? static_cast<void>(arrived.copy_(sent)) : comm->all_to_all(arrived, sent, from_last, to_next)->wait();
  });
  const auto exchange = time(arguments, *comm, device, [&] { comm->all_to_all(out, in, equal, equal)->wait(); });
  print(R == 1 ? "all_to_all, loop-back" : "all_to_all", *comm, bytes, exchange, line,
        R == 1 ? "copy" : "one message to the neighbour");

  const RowLayout layout(0, 4 * arguments.rows, me, R);
  const at::Tensor table = at::ones({layout.num_local_rows(), arguments.width}, at::kFloat).to(device);
  RowExchange rows(*comm, layout, device, kernels::row_kernels(device));
  CounterRng random(stream_key(1, Purpose::kDemoData, static_cast<uint64_t>(me)));
  std::vector<int32_t> asked(static_cast<size_t>(total));
  for (int32_t& row : asked) row = static_cast<int32_t>(random.below(static_cast<uint64_t>(layout.num_rows())));
  const Route route = rows.route(asked);
  const double fetched = static_cast<double>(route.unique_rows_U.numel() * arguments.width) * sizeof(float);
  const auto fetch = time(arguments, *comm, device, [&] { rows.fetch(route, table); });
  const auto scaled = [&](double factor) {
    std::vector<double> seconds = exchange;
    for (double& s : seconds) s *= factor;
    return seconds;
  };
  print("fetch of distinct rows", *comm, fetched, fetch, scaled(fetched / static_cast<double>(in.nbytes())),
        "all_to_all of as many bytes");
  return 0;
}
