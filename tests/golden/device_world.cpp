#include "tests/golden/device_world.h"

#include <cstdlib>

#include "dist/communicator/joined_communicator.h"
#include "dist/communicator/nccl_communicator.h"
#include "dist/device/device.h"

namespace cllm::golden {

DeviceWorld open_device_world(MpiSession& session, const std::string& name) {
  auto host = session.world();
  if (name == "cpu") return {at::kCPU, std::move(host)};
  setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", /*overwrite=*/0);
  const NcclOptions options{.local_rank = session.local_rank(), .deadline_s = 60, .allow_shared_gpu = true};
  auto nccl = make_nccl_communicator(*host, options);
  const at::Device device = nccl->device();
  return {device, join(std::move(host), std::move(nccl))};
}

}  // namespace cllm::golden
