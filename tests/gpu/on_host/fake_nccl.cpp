// dist/device/device.h and dist/communicator/nccl_communicator.h for the fake device. Linked into a program, this takes
// the place of dist/communicator/without_nccl.cpp, so that --device=cuda runs everything above them on fake_device.cpp.

#include <ATen/ops/empty.h>

#include <condition_variable>
#include <cstdlib>
#include <mutex>

#include "dist/communicator/nccl_communicator.h"
#include "dist/device/device.h"
#include "tests/gpu/on_host/fake_memory.h"
#include "tests/gpu/on_host/staged_communicator.h"

namespace cllm {

/// As many of them as the environment says, all of which are fake:0.
at::Device device_of_rank(int local_rank, bool shared) {
  const char* const num_gpus = std::getenv("CLLM_FAKE_GPUS");  // of a test
  if (num_gpus != nullptr) gpu_of_rank(local_rank, std::atoi(num_gpus), shared);
  return {at::kPrivateUse1, 0};
}
void use_device(at::Device) {}
int64_t peak_bytes(at::Device) { return 0; }
void begin_range(const char*) {}
void end_range() {}
std::string describe(at::Device device) { return device.str(); }

at::Tensor zeros_with_rows_on_host(at::IntArrayRef sizes, at::ScalarType dtype, at::Device device,
                                   int64_t rows_on_host) {
  return on_host::zeros_with_rows_on_host(sizes, dtype, device, rows_on_host);
}

/// The laziest device that keeps the contract: copies are made when the device must go on behind them, not before.
struct HostCopies::Impl {
  std::mutex mutex;
  std::condition_variable made;
  std::vector<std::pair<at::Tensor, at::Tensor>> under_way;
};

HostCopies::HostCopies(at::Device) : impl_(std::make_unique<Impl>()) {}
HostCopies::~HostCopies() { before_change(); }

at::Tensor HostCopies::buffer(at::IntArrayRef sizes, at::ScalarType dtype) const {
  return at::empty(sizes, at::TensorOptions().dtype(dtype));
}

void HostCopies::start(const std::vector<std::pair<at::Tensor, at::Tensor>>& from_to) {
  before_change();
  const std::scoped_lock lock(impl_->mutex);
  impl_->under_way = from_to;
}

void HostCopies::before_change() {
  const std::scoped_lock lock(impl_->mutex);
  for (const auto& [from, to] : impl_->under_way) to.copy_(from);
  impl_->under_way.clear();
  impl_->made.notify_all();
}

void HostCopies::wait() {
  std::unique_lock lock(impl_->mutex);
  impl_->made.wait(lock, [&] { return impl_->under_way.empty(); });
}

std::unique_ptr<Communicator> make_nccl_communicator(Communicator& bootstrap, const NcclOptions& options) {
  const char* const stall_s = std::getenv("CLLM_FAKE_STALL_S");  // of a test
  const testing::MadeUpStalls stalls{options.stalls, stall_s != nullptr ? std::atof(stall_s) : 0};
  return std::make_unique<testing::StagedCommunicator>(
      bootstrap.duplicate("device"), device_of_rank(options.local_rank, options.allow_shared_gpu), stalls);
}

}  // namespace cllm
