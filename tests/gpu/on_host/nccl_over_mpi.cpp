#include "tests/gpu/on_host/nccl_over_mpi.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <utility>
#include <vector>

#include "dist/communicator/mpi_private.h"
#include "tests/gpu/on_host/host_stream.h"

namespace on_host {

NcclFaults& nccl_faults() {
  static auto* const the = new NcclFaults;  // threads that never end may look at it when the process goes
  return *the;
}

}  // namespace on_host

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
  for (Transfer transfer(traffic, messages); !transfer.poll() && !traffic.aborted;) on_host::nap();
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
  while (faults.abort_hangs) on_host::nap();
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
