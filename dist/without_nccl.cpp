// NCCL in a build without CUDA.
#ifndef CLLM_CUDA

#include "dist/errors.h"
#include "dist/nccl_communicator.h"

namespace cllm {
namespace {

[[noreturn]] void refuse() {
  throw CommError(
      "device = \"cuda\", but this program was built without CUDA: build with -DCLLM_CUDA=ON, or run with --device=cpu");
}

}  // namespace

at::Device device_of_rank(const NcclOptions&) { refuse(); }
std::unique_ptr<Communicator> make_nccl_communicator(Communicator&, const NcclOptions&) { refuse(); }

}  // namespace cllm

#endif
