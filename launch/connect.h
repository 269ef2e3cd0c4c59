#pragma once

#include <memory>
#include <string>

#include "dist/mpi_session.h"
#include "dist/watched_communicator.h"
#include "launch/config.h"

namespace cllm {

/// The device of this rank for run.device = `name`: the CPU, or the GPU with the number of its local rank, which becomes the current one.
/// Throws DeviceError.
at::Device open_device(const MpiSession& mpi, const std::string& name);

/// The communicator of a run: MPI, and for run.device = "cuda" NCCL beside it (dist/joined_communicator.h). `deadline_s` as in
/// MpiSession::world. Throws AgreedFailure on all ranks where a rank has no GPU of its own. Collective.
std::unique_ptr<Communicator> connect(MpiSession& mpi, const std::string& device, double deadline_s = 0);

/// The communicators of a training run, all watched as its main thread's. Checkpoints duplicate `world` for their own thread (MPI alone).
struct RunChannels {
  std::unique_ptr<Communicator> world, exchange, softmax;

  Channels of_step() const { return {*world, *exchange, *softmax}; }
};
RunChannels connect_run(MpiSession& mpi, const std::string& device, double deadline_s, const TrafficWatch& traffic);

/// Nodes of `ranks_per_node` neighbouring ranks on the same device. Throws AgreedFailure if the number does not divide the world. Collective.
std::unique_ptr<TwoLevels> connect_levels(MpiSession& mpi, Communicator& world, const RunSection& run);

}  // namespace cllm
