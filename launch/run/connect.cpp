#include "launch/run/connect.h"

#include <cstdlib>

#include "dist/communicator/joined_communicator.h"
#include "dist/communicator/nccl_communicator.h"
#include "dist/device/device.h"
#include "launch/failures/agree.h"
#include "launch/failures/errors.h"

namespace cllm {

namespace {

NcclOptions nccl_options(const MpiSession& mpi, const ConnectOptions& options) {
  return {.local_rank = mpi.local_rank(),
          .deadline_s = options.deadline_s,
          .allow_shared_gpu = options.share_gpus,
          .stalls = options.stalls};
}

}  // namespace

at::Device open_device(const MpiSession& mpi, const ConnectOptions& options) {
  if (options.device == "cpu") return at::kCPU;
  // cuBLAS gives the same bits in every run only with a workspace of fixed size, which it reads from here.
  setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", /*overwrite=*/0);
  const at::Device device = device_of_rank(mpi.local_rank(), options.share_gpus);
  use_device(device);
  return device;
}

std::unique_ptr<Communicator> connect(MpiSession& mpi, const ConnectOptions& options) {
  auto host = mpi.world(options.deadline_s);
  if (options.device == "cpu") return host;
  std::unique_ptr<Communicator> nccl;
  collectively(*host, [&] { open_device(mpi, options); });
  together(*host, [&] { nccl = make_nccl_communicator(*host, nccl_options(mpi, options)); });
  return join(std::move(host), std::move(nccl));
}

RunChannels connect_run(MpiSession& mpi, const ConnectOptions& options, const TrafficWatch& traffic) {
  auto world = connect(mpi, options);
  const auto channel = [&](const char* name) { return watch(world->duplicate(name), name, traffic); };
  auto exchange = channel("exchange"), softmax = channel("softmax");
  return {watch(std::move(world), "world", traffic), std::move(exchange), std::move(softmax)};
}

std::unique_ptr<TwoLevels> connect_levels(MpiSession& mpi, Communicator& world, int64_t ranks_per_node,
                                          const ConnectOptions& options, const TrafficWatch& traffic) {
  if (ranks_per_node == 0) return nullptr;
  collectively(world, [&] {
    if (mpi.world_size() % ranks_per_node != 0) {
      throw ConfigError("run.ranks_per_node = " + std::to_string(ranks_per_node) + " does not divide " +
                        std::to_string(mpi.world_size()) + " ranks: set the number of ranks on each host, or 0");
    }
  });
  auto levels = std::make_unique<TwoLevels>(mpi.levels(static_cast<int>(ranks_per_node), options.deadline_s));
  for (const auto& [level, name] : {std::pair{&levels->node, "node"}, {&levels->rail, "rail"}}) {
    if (options.device != "cpu") {
      auto nccl = make_nccl_communicator(**level, nccl_options(mpi, options));
      *level = join(std::move(*level), std::move(nccl));
    }
    *level = watch(std::move(*level), name, traffic);
  }
  return levels;
}

}  // namespace cllm
