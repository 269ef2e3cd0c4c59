#pragma once

// Private to dist/nccl_*.cpp, because it shows NCCL and CUDA types.

#include <ATen/cuda/CUDAEvent.h>
#include <c10/cuda/CUDAStream.h>
#include <nccl.h>

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "dist/communicator/backoff.h"
#include "dist/watch/activity.h"

namespace cllm {

/// Throws CommError unless `result` is success or still under way.
void check_nccl(ncclResult_t result, const std::string& what);

/// Owns one NCCL communicator and the stream of its traffic. Nothing here waits without a limit: the communicator is
/// non-blocking, its calls are polled, and a watchdog aborts it when an operation outlives the deadline or a peer
/// fails. An abort ends the kernels of the communicator, so that streams and waits on the host go on; the next use of
/// the channel throws CommError. An abort that hangs itself holds up nobody who asks the channel, but its kernels stay:
/// who then waits for the device is ended by the run's watchdog (launch). Lifetime: the watchdog stops first, then the
/// communicator goes (finalised if idle, otherwise aborted), then the stream's events. What NCCL does not end within
/// some seconds is left to the end of the process.
class NcclChannel {
 public:
  /// Collective. `world_size` ranks with the same `id` meet; the current device is this rank's. `stalls`: as in
  /// NcclOptions.
  NcclChannel(const ncclUniqueId& id, int rank, int world_size, std::string name, double deadline_s,
              Activity* stalls = nullptr);
  ~NcclChannel();
  NcclChannel(const NcclChannel&) = delete;
  NcclChannel& operator=(const NcclChannel&) = delete;

  /// Calls `issue(comm, stream)` inside an NCCL group, after all that the current stream holds. The event is recorded
  /// behind it.
  using Issue = std::function<void(ncclComm_t, cudaStream_t)>;
  std::shared_ptr<at::cuda::CUDAEvent> start(const std::string& title, int64_t num_bytes, const Issue& issue);

  /// What the current stream gets from now on happens behind `event`; the host does not wait.
  void block_current_stream(at::cuda::CUDAEvent& event);
  /// Blocks the host until `event` has passed. Throws CommError if the channel fails meanwhile.
  void wait_on_host(const at::cuda::CUDAEvent& event);
  /// Throws CommError if the channel has failed.
  void check_health();

  /// The same ranks, a communicator of its own. Collective.
  std::unique_ptr<NcclChannel> split(std::string name);

  const std::string& name() const { return name_; }
  c10::cuda::CUDAStream stream() const { return stream_; }

 private:
  struct Pending {
    std::string title;
    int64_t num_bytes;
    std::shared_ptr<at::cuda::CUDAEvent> end;
    Backoff clock;  // since it was issued
  };
  /// Events of the waiting stream, around a wait.
  struct Stall {
    at::cuda::CUDAEvent begin{cudaEventDefault}, end{cudaEventDefault};
  };

  NcclChannel(int rank, int world_size, std::string name, double deadline_s, Activity* stalls);
  ncclConfig_t config() const;
  void finish_call(ncclResult_t result, const std::string& title);
  void watch();
  std::string inspect();
  bool forget_finished();
  void fail(std::unique_lock<std::mutex>& lock, std::string failure);
  std::string ranks() const;
  void count_stalls();
  void start_watchdog();

  int rank_, world_size_;
  std::string name_;
  double deadline_s_;
  Activity* stalls_;
  std::deque<Stall> open_stalls_;  // not yet over, or not yet counted
  c10::cuda::CUDAStream stream_;
  ncclComm_t comm_ = nullptr;  // null after an abort

  std::mutex mutex_;  // comm_, pending_, failure_, closing_
  std::condition_variable changed_;
  std::deque<Pending> pending_;
  std::string failure_;
  bool closing_ = false;
  std::thread watchdog_;
};

}  // namespace cllm
