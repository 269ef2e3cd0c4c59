#include "tests/gpu/on_host/nccl_over_mpi.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstring>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "dist/communicator/mpi_private.h"
#include "dist/device/device.h"

// A rank's GPU has the number of the rank on its host.

namespace {

using Clock = std::chrono::steady_clock;

constexpr int kNumGpus = 64;
int gpu_of_process = 0;

void nap() { std::this_thread::sleep_for(std::chrono::microseconds(50)); }

}  // namespace

namespace cllm {

at::Device device_of_rank(int local_rank, bool shared) {
  gpu_of_process = gpu_of_rank(local_rank, kNumGpus, shared);
  return at::kCPU;
}
void use_device(at::Device) {}

}  // namespace cllm

namespace on_host {

NcclFaults& nccl_faults() {
  static auto* const the = new NcclFaults;  // threads that never end may look at it when the process goes
  return *the;
}

struct Mark {
  Clock::time_point at;
  std::atomic<bool> passed = false;

  void pass() {
    at = Clock::now();
    passed = true;
  }
};

class Stream {
 public:
  Stream() {
    std::thread([this] { work(); }).detach();
  }
  void add(std::function<void()> task) {
    const std::scoped_lock lock(mutex_);
    tasks_.push_back(std::move(task));
    changed_.notify_one();
  }

 private:
  [[noreturn]] void work() {
    for (;;) {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return !tasks_.empty(); });
      const std::function<void()> task = std::move(tasks_.front());
      tasks_.pop_front();
      lock.unlock();
      task();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> tasks_;
};

}  // namespace on_host

/// At once: what the current stream has written is there, and after a failure the memory may be gone.
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t num_bytes, cudaMemcpyKind, cudaStream_t) {
  std::memcpy(to, from, num_bytes);
  return 0;
}

cudaError_t cudaDeviceGetPCIBusId(char* text, int size, int) {
  std::snprintf(text, static_cast<size_t>(size), "0000:%02d:00.0", gpu_of_process);
  return 0;
}

c10::cuda::CUDAStream c10::cuda::getStreamFromPool(bool) { return CUDAStream(new on_host::Stream); }

namespace at::cuda {

void CUDAEvent::record(const c10::cuda::CUDAStream& stream) {
  mark_ = std::make_shared<on_host::Mark>();
  if (stream.stream() == nullptr) return mark_->pass();
  stream.stream()->add([mark = mark_] { mark->pass(); });
}

/// Behind a kernel that nothing ends the calling thread goes on at once: on a GPU only what it reads later would hang.
void CUDAEvent::block(const c10::cuda::CUDAStream& stream) {
  if (!mark_) return;
  if (stream.stream() != nullptr) {
    return stream.stream()->add([mark = mark_] {
      while (!mark->passed) nap();
    });
  }
  while (!mark_->passed && !on_host::nccl_faults().abort_hangs) nap();
}

bool CUDAEvent::query() const { return !mark_ || mark_->passed; }

float CUDAEvent::elapsed_time(const CUDAEvent& later) const {
  TORCH_CHECK(timed_ && later.timed_ && mark_ && later.mark_ && query() && later.query(),
              "elapsed time of events without one");
  return std::chrono::duration<float, std::milli>(later.mark_->at - mark_->at).count();
}

}  // namespace at::cuda

namespace {

struct Message {
  int peer;
  char* arriving;            // where it belongs; null: it leaves
  std::vector<char> memory;  // what leaves, taken when it was issued, or room for what arrives
};

/// What the threads of a communicator share, and keep as long as any of them needs it.
struct Traffic {
  int tag, rank, world_size;
  std::atomic<bool> aborted = false;
};

/// Messages of one kernel on their way. What is aborted is left to MPI for ever, with its memory.
class Transfer {
 public:
  Transfer(const Traffic& traffic, std::vector<Message> messages)
      : messages_(new std::vector<Message>(std::move(messages))), requests_(messages_->size()) {
    for (size_t n = 0; n < requests_.size(); ++n) {
      auto& [peer, arriving, memory] = (*messages_)[n];
      const int count = static_cast<int>(memory.size());
      const bool leaves = arriving == nullptr;
      leaves ? MPI_Isend(memory.data(), count, MPI_BYTE, peer, traffic.tag, MPI_COMM_WORLD, &requests_[n])
             : MPI_Irecv(memory.data(), count, MPI_BYTE, peer, traffic.tag, MPI_COMM_WORLD, &requests_[n]);
    }
  }
  /// True when all messages are through; those that came lie where they belong.
  bool poll() {
    int done = 0;
    MPI_Testall(static_cast<int>(requests_.size()), requests_.data(), &done, MPI_STATUSES_IGNORE);
    if (done == 0) return false;
    for (const auto& [peer, arriving, memory] : *messages_) {
      if (arriving != nullptr) std::copy(memory.begin(), memory.end(), arriving);
    }
    delete messages_;
    return true;
  }

 private:
  std::vector<Message>* messages_;
  std::vector<MPI_Request> requests_;
};

/// A kernel: holds up its stream until its messages are through or the communicator is aborted.
void run_kernel(const Traffic& traffic, const std::vector<Message>& messages) {
  if (traffic.aborted) return;
  for (Transfer transfer(traffic, messages); !transfer.poll() && !traffic.aborted;) nap();
}

}  // namespace

struct ncclComm {
  std::shared_ptr<Traffic> traffic;
  std::unique_ptr<Transfer> meeting;                    // of a start: an empty message from and to every peer
  std::vector<std::pair<Message, cudaStream_t>> group;  // of the running group
  std::function<void()> launch;  // of a group that was ended, until the communicator is asked again
  int num_splits = 0;
};

namespace {

thread_local ncclComm_t grouped = nullptr;  // the communicator of this thread's group, once it has a message

ncclComm_t start(int tag, int rank, int world_size) {
  auto* const comm = new ncclComm{std::make_shared<Traffic>(tag, rank, world_size), nullptr, {}, nullptr, 0};
  static char greeting;  // of no bytes
  std::vector<Message> greetings;
  for (int peer = 0; peer < world_size; ++peer) {
    if (peer == rank) continue;
    greetings.push_back({peer, nullptr, {}});
    greetings.push_back({peer, &greeting, {}});
  }
  comm->meeting = std::make_unique<Transfer>(*comm->traffic, std::move(greetings));
  return comm;
}

ncclResult_t add(ncclComm_t comm, Message message, cudaStream_t stream) {
  if (message.peer < 0 || message.peer >= comm->traffic->world_size) return ncclInvalidArgument;
  grouped = comm;
  comm->group.emplace_back(std::move(message), stream);
  return ncclSuccess;
}

}  // namespace

const char* ncclGetErrorString(ncclResult_t result) {
  return result == ncclRemoteError ? "remote process exited or there was a network error" : "internal error";
}
const char* ncclGetLastError(ncclComm_t) { return "no more is known"; }

ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  static int num_ids = 0;
  const int tag = ++num_ids << 12;
  std::memset(id, 0, sizeof *id);
  std::memcpy(id, &tag, sizeof tag);
  return ncclSuccess;
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t* comm, int world_size, ncclUniqueId id, int rank, ncclConfig_t* config) {
  if (config->blocking != 0) return ncclInvalidArgument;
  int tag = 0;
  std::memcpy(&tag, &id, sizeof tag);
  *comm = start(tag, rank, world_size);
  return ncclInProgress;
}

ncclResult_t ncclCommSplit(ncclComm_t comm, int, int key, ncclComm_t* out, ncclConfig_t* config) {
  if (config->blocking != 0) return ncclInvalidArgument;
  *out = start(comm->traffic->tag + ++comm->num_splits, key, comm->traffic->world_size);
  return ncclInProgress;
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t* state) {
  if (comm == nullptr) return ncclInvalidArgument;
  if (comm->meeting && comm->meeting->poll()) comm->meeting.reset();
  if (comm->launch) std::exchange(comm->launch, nullptr)();
  *state = on_host::nccl_faults().peer_failed ? ncclRemoteError : comm->meeting ? ncclInProgress : ncclSuccess;
  return ncclSuccess;
}

ncclResult_t ncclCommFinalize(ncclComm_t) { return ncclInProgress; }

ncclResult_t ncclCommDestroy(ncclComm_t comm) {
  delete comm;
  ++on_host::nccl_faults().destroyed;
  return ncclSuccess;
}

ncclResult_t ncclCommAbort(ncclComm_t comm) {
  on_host::NcclFaults& faults = on_host::nccl_faults();
  ++faults.aborting;
  while (faults.abort_hangs) nap();
  comm->traffic->aborted = true;
  delete comm;
  ++faults.aborted;
  --faults.aborting;
  return ncclSuccess;
}

ncclResult_t ncclGroupStart() {
  grouped = nullptr;
  return ncclSuccess;
}

ncclResult_t ncclGroupEnd() {
  if (grouped == nullptr) return ncclSuccess;
  ncclComm& comm = *grouped;
  std::vector<Message> messages;
  for (auto& [message, stream] : comm.group) messages.push_back(std::move(message));
  comm.launch = [traffic = comm.traffic, messages = std::move(messages), stream = comm.group[0].second] {
    stream->add([traffic, messages] { run_kernel(*traffic, messages); });
  };
  comm.group.clear();
  return ncclInProgress;
}

ncclResult_t ncclSend(const void* data, size_t count, ncclDataType_t, int peer, ncclComm_t comm, cudaStream_t stream) {
  const auto* const bytes = static_cast<const char*>(data);
  return add(comm, {peer, nullptr, {bytes, bytes + count}}, stream);
}

ncclResult_t ncclRecv(void* data, size_t count, ncclDataType_t, int peer, ncclComm_t comm, cudaStream_t stream) {
  return add(comm, {peer, static_cast<char*>(data), std::vector<char>(count)}, stream);
}

ncclResult_t ncclBroadcast(const void* from, void* to, size_t count, ncclDataType_t type, int root, ncclComm_t comm,
                           cudaStream_t stream) {
  if (comm->traffic->rank != root) return ncclRecv(to, count, type, root, comm, stream);
  for (int peer = 0; peer < comm->traffic->world_size; ++peer) {
    if (peer != root) ncclSend(from, count, type, peer, comm, stream);
  }
  return ncclSuccess;
}
