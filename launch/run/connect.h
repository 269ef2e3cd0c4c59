#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "dist/communicator/mpi_session.h"
#include "dist/communicator/watched_communicator.h"

namespace cllm {

/// How the ranks of a command meet.
struct ConnectOptions {
  std::string device = "cpu";  // run.device
  double deadline_s = 0;       // as in MpiSession::world
  bool share_gpus = false;     // tests only: ranks beyond the GPUs of their host take one that is taken
  Activity* stalls = nullptr;  // NcclOptions::stalls
};

/// The device of this rank: the CPU, or the GPU with the number of its local rank, which becomes the current one.
/// Throws DeviceError.
at::Device open_device(const MpiSession& mpi, const ConnectOptions& options);

/// The communicator of a command: MPI, and for run.device = "cuda" NCCL beside it
/// (dist/communicator/joined_communicator.h). Throws AgreedFailure on all ranks where a rank has no GPU of its own.
/// Collective.
std::unique_ptr<Communicator> connect(MpiSession& mpi, const ConnectOptions& options);

/// The communicators of a training run, all watched as its main thread's. Checkpoints duplicate `world` for their own
/// thread (MPI alone).
struct RunChannels {
  std::unique_ptr<Communicator> world, exchange, softmax;

  Channels of_step() const { return {*world, *exchange, *softmax}; }
};
RunChannels connect_run(MpiSession& mpi, const ConnectOptions& options, const TrafficWatch& traffic);

/// Nodes of run.ranks_per_node = `ranks_per_node` neighbouring ranks, watched like the channels of a run; null for 0.
/// Throws AgreedFailure if the number does not divide the world. Collective.
std::unique_ptr<TwoLevels> connect_levels(MpiSession& mpi, Communicator& world, int64_t ranks_per_node,
                                          const ConnectOptions& options, const TrafficWatch& traffic);

}  // namespace cllm
