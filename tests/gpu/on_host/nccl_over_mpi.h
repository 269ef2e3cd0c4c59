#pragma once

// As much of CUDA's runtime, of libtorch's streams and events, and of NCCL as dist/nccl_*.cpp use, for processes
// without a GPU: those files are compiled against it (tests/CMakeLists.txt puts it in place of the real headers), so
// that what they do is tested and not only that they compile. Device memory is the host's. The current stream is the
// calling thread, so a wait of it holds up that thread; every other stream is a thread that works off its queue.
// Messages travel by MPI between the same ranks of MPI_COMM_WORLD. Calls that may take their time on NCCL do so here: a
// communicator answers "in progress" first, and starts its kernels only when it is asked again. Not modelled: speed,
// memory that is reused too early.

#include <c10/core/Allocator.h>
#include <c10/util/Exception.h>

#include <atomic>
#include <cstddef>
#include <memory>

namespace on_host {

class Stream;
struct Mark;  // a place in a stream, which it has passed or not

/// What a test may let go wrong, and what it may look at. One process is one rank.
struct NcclFaults {
  std::atomic<bool> abort_hangs = false;  // ncclCommAbort does not return and ends no kernel, until this is false again
  std::atomic<bool> peer_failed = false;  // every communicator reports ncclRemoteError
  std::atomic<int> destroyed = 0, aborted = 0;  // communicators that ended in order, and otherwise
  std::atomic<int> aborting = 0;                // calls of ncclCommAbort under way
};
NcclFaults& nccl_faults();

}  // namespace on_host

// --- CUDA's runtime
using cudaStream_t = on_host::Stream*;
using cudaError_t = int;
enum cudaMemcpyKind { cudaMemcpyDeviceToDevice };
inline constexpr unsigned cudaEventDefault = 0, cudaEventDisableTiming = 2;
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t num_bytes, cudaMemcpyKind kind, cudaStream_t stream);
cudaError_t cudaDeviceGetPCIBusId(char* text, int size, int device);
#define C10_CUDA_CHECK(call) TORCH_CHECK((call) == 0, #call)

// --- libtorch
namespace c10::cuda {

class CUDAStream {
 public:
  explicit CUDAStream(on_host::Stream* stream) : stream_(stream) {}
  cudaStream_t stream() const { return stream_; }

 private:
  on_host::Stream* stream_;  // null: the calling thread
};

/// A thread of its own; it lives as long as the process.
CUDAStream getStreamFromPool(bool is_high_priority);
inline CUDAStream getCurrentCUDAStream() { return CUDAStream(nullptr); }
inline int current_device() { return 0; }
inline void set_device(int) {}

namespace CUDACachingAllocator {
inline void recordStream(const c10::DataPtr&, CUDAStream) {}
}  // namespace CUDACachingAllocator

}  // namespace c10::cuda

namespace at::cuda {

class CUDAEvent {
 public:
  explicit CUDAEvent(unsigned flags = cudaEventDisableTiming) : timed_((flags & cudaEventDisableTiming) == 0) {}
  void record(const c10::cuda::CUDAStream& stream);
  void block(const c10::cuda::CUDAStream& stream);
  bool query() const;
  /// Milliseconds. As on a GPU both must have been made for it and have passed.
  float elapsed_time(const CUDAEvent& later) const;

 private:
  bool timed_;
  std::shared_ptr<on_host::Mark> mark_;  // null: not recorded yet
};

}  // namespace at::cuda

// --- NCCL
struct ncclComm;
using ncclComm_t = ncclComm*;
enum ncclResult_t { ncclSuccess, ncclInvalidArgument, ncclInternalError, ncclRemoteError, ncclInProgress };
enum ncclDataType_t { ncclChar };
struct ncclUniqueId {
  char internal[128];
};
struct ncclConfig_t {
  int blocking;
  const char* commName;
};
#define NCCL_CONFIG_INITIALIZER \
  { 1, nullptr }

const char* ncclGetErrorString(ncclResult_t result);
const char* ncclGetLastError(ncclComm_t comm);
ncclResult_t ncclGetUniqueId(ncclUniqueId* id);
ncclResult_t ncclCommInitRankConfig(ncclComm_t* comm, int world_size, ncclUniqueId id, int rank, ncclConfig_t* config);
ncclResult_t ncclCommSplit(ncclComm_t comm, int colour, int key, ncclComm_t* out, ncclConfig_t* config);
ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t* state);
ncclResult_t ncclCommFinalize(ncclComm_t comm);
ncclResult_t ncclCommDestroy(ncclComm_t comm);
ncclResult_t ncclCommAbort(ncclComm_t comm);
ncclResult_t ncclGroupStart();
ncclResult_t ncclGroupEnd();
ncclResult_t ncclSend(const void* data, size_t count, ncclDataType_t type, int peer, ncclComm_t comm,
                      cudaStream_t stream);
ncclResult_t ncclRecv(void* data, size_t count, ncclDataType_t type, int peer, ncclComm_t comm, cudaStream_t stream);
ncclResult_t ncclBroadcast(const void* from, void* to, size_t count, ncclDataType_t type, int root, ncclComm_t comm,
                           cudaStream_t stream);
