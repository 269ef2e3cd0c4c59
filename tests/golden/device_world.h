#pragma once

#include <memory>
#include <string>

#include "dist/communicator/mpi_session.h"

namespace cllm::golden {

/// Where a set is computed, and how its ranks meet there.
struct DeviceWorld {
  at::Device device = at::kCPU;
  std::unique_ptr<Communicator> comm;
};

/// `name`: cpu or cuda (ranks may share a GPU); in golden_parity_on_host cuda is the device of tests/gpu/on_host.
DeviceWorld open_device_world(MpiSession& session, const std::string& name);

}  // namespace cllm::golden
