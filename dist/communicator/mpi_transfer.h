#pragma once

// Private to dist/*.cpp, because it shows MPI types.

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <string>
#include <vector>

#include "dist/communicator/backoff.h"
#include "dist/communicator/communicator.h"
#include "dist/communicator/mpi_private.h"

namespace cllm {

/// What a transfer belongs to: where it travels and what its errors say.
struct MpiOperation {
  MPI_Comm comm;
  int tag;
  double deadline_s;
  std::string title;  // e.g. all_to_all on "exchange", rank 1 of 4
};

/// One round of messages between this rank and its peers: every send of one rank meets a receive of the same size on
/// the peer. wait() completes all of them, or throws CommError that names the operation, the ranks waited for, the
/// bytes and the elapsed time.
class MpiTransfer : public Work {
 public:
  explicit MpiTransfer(MpiOperation operation) : operation_(std::move(operation)) {}
  ~MpiTransfer() override;
  MpiTransfer(const MpiTransfer&) = delete;
  MpiTransfer& operator=(const MpiTransfer&) = delete;

  void send(const std::byte* data, int64_t num_bytes, int peer);
  void receive(std::byte* data, int64_t num_bytes, int peer);
  /// Keeps the memory of a posted buffer alive until the transfer is over; for ever if it fails, since MPI may still
  /// write to it.
  void keep(const at::Tensor& tensor) { kept_.push_back(tensor); }

  void wait() override;

 private:
  struct Message {
    int peer;
    int num_bytes;
    bool incoming;
  };

  /// Messages that finished since the last call.
  int poll();
  [[noreturn]] void fail(const std::string& reason);
  void post(int64_t num_bytes, int peer, bool incoming, std::byte* data);
  void check_arrival(const Message& message, const MPI_Status& status);
  std::string outstanding() const;

  MpiOperation operation_;
  std::vector<MPI_Request> requests_;
  std::vector<Message> messages_;  // of requests_
  std::vector<int> finished_;      // scratch of poll()
  std::vector<MPI_Status> statuses_;
  std::vector<at::Tensor> kept_;
  size_t num_open_ = 0;
  Backoff clock_;  // since wait() began
};

}  // namespace cllm
