#pragma once

#include <memory>
#include <string>

#include "dist/communicator/communicator.h"
#include "dist/watch/activity.h"

namespace cllm {

struct NcclOptions {
  int local_rank = 0;             // among the ranks of this host: the GPU that this rank takes
  double deadline_s = 0;          // after which an operation ends with CommError; 0: none
  bool allow_shared_gpu = false;  // tests only: several ranks on one GPU
  Activity* stalls =
      nullptr;  // gets what the current streams stand still in waits; it costs two events a wait. Null: not measured
};

/// Communicator for tensors on GPUs, over the ranks of `bootstrap` (a CPU communicator, needed only during this call).
/// Collective. Uses the GPU of device_of_rank(). Throws DeviceError, on all ranks and before NCCL could hang, if a rank
/// has no GPU or two share one, and in a build without CUDA.
///
/// Sums are taken in rank order, as the contract wants: data move by ncclSend/ncclRecv and each rank adds what it got,
/// which costs the bytes of a ring. Operations run on a stream of their own behind the caller's current stream, and
/// that stream waits for them; only barrier() blocks the host. A failure shows at the next operation, wait() or
/// barrier().
std::unique_ptr<Communicator> make_nccl_communicator(Communicator& bootstrap, const NcclOptions& options);

}  // namespace cllm
