// Times a save, its stall in the background, and a load, of MIB mebibytes of state spread over the ranks, in DIR. One
// JSON line.
//   mpirun -n 2 checkpoint_bench DIR [--mib 1024 --rounds 3]
//   mpirun -n 3 checkpoint_bench DIR --load-only     loads what other ranks left in DIR; prints the most memory that a
//   rank ever had
// The pages that a save writes are synced by the save itself; before the load they are dropped from the cache
// (posix_fadvise).

#include <ATen/ops/ones.h>
#include <ATen/ops/tensor.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>

#include "checkpoints/checkpoint.h"
#include "checkpoints/writer.h"
#include "dist/communicator/mpi_session.h"
#include "model/step/phases.h"

namespace {

using namespace cllm;
namespace fs = std::filesystem;

TrainState make_state(const Communicator& comm, int64_t mib) {
  constexpr int64_t kWidth = 256;
  const int64_t rows = mib * (1 << 20) / (kWidth * 4), R = comm.world_size(), first = rows * comm.rank() / R,
                end = rows * (comm.rank() + 1) / R;
  return {.tensors = {{"weight", rows, first, at::ones({end - first, kWidth})}}, .replicated = {}};
}

/// So that reading is reading.
void forget_pages(const fs::path& folder) {
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    const int file = open(entry.path().c_str(), O_RDONLY);
    posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
    close(file);
  }
}

void load_only(Communicator& comm, const fs::path& dir, TrainState& state) {
  load(comm, find_latest(comm, dir, nullptr).value(), state);
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  at::Tensor peak_and_own = at::tensor(
      {static_cast<double>(usage.ru_maxrss) / 1024, static_cast<double>(state.tensors[0].rows.nbytes()) / (1 << 20)},
      at::kDouble);
  comm.all_reduce(peak_and_own, ReduceOp::kMax);
  if (comm.rank() != 0) return;
  const double peak_mib = peak_and_own[0].item<double>(), own_mib = peak_and_own[1].item<double>();
  std::printf("{\"ranks\": %d, \"peak_rss_mib\": %.0f, \"own_shard_mib\": %.0f, \"allowed_mib\": %.0f}\n",
              comm.world_size(), peak_mib, own_mib, 1.3 * own_mib + 256);
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

}  // namespace

int main(int argc, char** argv) {
  MpiSession mpi(&argc, &argv);
  std::string dir;
  int64_t mib = 1024, rounds = 3;
  bool only_load = false;
  CLI::App app;
  app.add_option("dir", dir)->required();
  app.add_option("--mib", mib);
  app.add_option("--rounds", rounds);
  app.add_flag("--load-only", only_load);
  CLI11_PARSE(app, argc, argv);

  const auto comm = mpi.world();
  TrainState state = make_state(*comm, mib);
  if (only_load) {
    load_only(*comm, dir, state);
    return 0;
  }
  prepare(*comm, dir);
  std::vector<double> blocking, stall, loading;
  CheckpointWriter writer(*comm, dir, {});
  for (int64_t round = 0; round <= rounds; ++round) {  // round 0 allocates the copy and the caches
    comm->barrier();
    Stopwatch watch;
    const CheckpointInfo saved = save(*comm, dir, 2 * round + 1, state);
    comm->barrier();
    const double blocked_s = watch.lap();
    writer.start(2 * round + 2, state);
    comm->barrier();
    const double stalled_s = watch.lap();
    writer.finish();
    if (comm->rank() == 0) forget_pages(dir);
    comm->barrier();
    watch.lap();
    load(*comm, saved, state);
    comm->barrier();
    const double loaded_s = watch.lap();
    if (round == 0) continue;
    blocking.push_back(blocked_s);
    stall.push_back(stalled_s);
    loading.push_back(loaded_s);
  }
  if (comm->rank() == 0) {
    std::printf("{\"mib\": %lld, \"blocking_save_s\": %.3f, \"async_stall_s\": %.3f, \"load_s\": %.3f}\n",
                static_cast<long long>(mib), median(blocking), median(stall), median(loading));
  }
  return 0;
}
