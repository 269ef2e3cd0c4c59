#include "launch/connect.h"

#include <cstdlib>

#include "dist/device.h"
#include "dist/joined_communicator.h"
#include "dist/nccl_communicator.h"
#include "launch/agree.h"
#include "launch/errors.h"

namespace cllm {

at::Device open_device(const MpiSession& mpi, const std::string& name) {
  if (name == "cpu") return at::kCPU;
  // cuBLAS gives the same bits in every run only with a workspace of fixed size, which it reads from here.
  setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", /*overwrite=*/0);
  const at::Device device = device_of_rank(mpi.local_rank());
  use_device(device);
  return device;
}

std::unique_ptr<Communicator> connect(MpiSession& mpi, const std::string& device, double deadline_s) {
  auto host = mpi.world(deadline_s);
  if (device == "cpu") return host;
  std::unique_ptr<Communicator> nccl;
  collectively(*host, [&] { open_device(mpi, device); });
  together(*host, [&] { nccl = make_nccl_communicator(*host, {.local_rank = mpi.local_rank(), .deadline_s = deadline_s}); });
  return join(std::move(host), std::move(nccl));
}

RunChannels connect_run(MpiSession& mpi, const std::string& device, double deadline_s, const TrafficWatch& traffic) {
  auto world = connect(mpi, device, deadline_s);
  const auto channel = [&](const char* name) { return watch(world->duplicate(name), name, traffic); };
  auto exchange = channel("exchange"), softmax = channel("softmax");
  return {watch(std::move(world), "world", traffic), std::move(exchange), std::move(softmax)};
}

std::unique_ptr<TwoLevels> connect_levels(MpiSession& mpi, Communicator& world, const RunSection& run) {
  if (run.ranks_per_node == 0) return nullptr;
  collectively(world, [&] {
    if (mpi.world_size() % run.ranks_per_node != 0) {
      throw ConfigError("run.ranks_per_node = " + std::to_string(run.ranks_per_node) + " does not divide " +
                        std::to_string(mpi.world_size()) + " ranks: set the number of ranks on each host, or 0");
    }
  });
  auto levels = std::make_unique<TwoLevels>(mpi.levels(static_cast<int>(run.ranks_per_node), run.deadline_s));
  if (run.device == "cpu") return levels;
  const NcclOptions options{.local_rank = mpi.local_rank(), .deadline_s = run.deadline_s};
  for (auto* level : {&levels->node, &levels->rail}) {
    auto nccl = make_nccl_communicator(**level, options);
    *level = join(std::move(*level), std::move(nccl));
  }
  return levels;
}

}  // namespace cllm
