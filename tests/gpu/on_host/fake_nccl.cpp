// dist/device.h and dist/nccl_communicator.h for the fake device. Linked into a program, this takes the place of dist/without_nccl.cpp, so
// that --device=cuda runs everything above them on fake_device.cpp.

#include "dist/device.h"
#include "dist/nccl_communicator.h"
#include "tests/gpu/on_host/staged_communicator.h"

namespace cllm {

at::Device device_of_rank(int, bool) { return {at::kPrivateUse1, 0}; }
void use_device(at::Device) {}
int64_t peak_bytes(at::Device) { return 0; }
void begin_range(const char*) {}
void end_range() {}
std::string describe(at::Device device) { return device.str(); }

std::unique_ptr<Communicator> make_nccl_communicator(Communicator& bootstrap, const NcclOptions& options) {
  return std::make_unique<testing::StagedCommunicator>(bootstrap.duplicate("device"), device_of_rank(options.local_rank));
}

}  // namespace cllm
