// GPUs and NCCL in a build without CUDA.
#include "dist/communicator/nccl_communicator.h"
#include "dist/device/device.h"
#include "dist/errors.h"

namespace cllm {
namespace {

[[noreturn]] void refuse() {
  throw DeviceError(
      "device = \"cuda\", but this program was built without CUDA: build with -DCLLM_CUDA=ON, or run with "
      "--device=cpu");
}

}  // namespace

at::Device device_of_rank(int, bool) { refuse(); }
void use_device(at::Device) {}
int64_t peak_bytes(at::Device) { return 0; }
void begin_range(const char*) {}
void end_range() {}
std::string describe(at::Device device) { return device.str(); }
at::Tensor zeros_with_rows_on_host(at::IntArrayRef, at::ScalarType, at::Device, int64_t) { refuse(); }

struct HostCopies::Impl {};
HostCopies::HostCopies(at::Device) { refuse(); }
HostCopies::~HostCopies() = default;
at::Tensor HostCopies::buffer(at::IntArrayRef, at::ScalarType) const { refuse(); }
void HostCopies::start(const std::vector<std::pair<at::Tensor, at::Tensor>>&) { refuse(); }
void HostCopies::before_change() { refuse(); }
void HostCopies::wait() { refuse(); }

std::unique_ptr<Communicator> make_nccl_communicator(Communicator&, const NcclOptions&) { refuse(); }

}  // namespace cllm
