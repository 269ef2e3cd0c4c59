#include "dist/communicator/mpi_transfer.h"

#include <algorithm>
#include <map>
#include <sstream>

#include "dist/communicator/mpi_private.h"
#include "dist/errors.h"

namespace cllm {
namespace {

constexpr int64_t kMaxMessageBytes =
    int64_t{1} << 30;  // MPI counts are int; messages of one peer and tag never overtake each other

}  // namespace

MpiTransfer::~MpiTransfer() {
  try {
    wait();
  } catch (...) {  // a destructor must not throw; the peers see their own deadline
  }
}

void MpiTransfer::send(const std::byte* data, int64_t num_bytes, int peer) {
  post(num_bytes, peer, false, const_cast<std::byte*>(data));  // MPI_Isend only reads
}

void MpiTransfer::receive(std::byte* data, int64_t num_bytes, int peer) { post(num_bytes, peer, true, data); }

void MpiTransfer::post(int64_t num_bytes, int peer, bool incoming, std::byte* data) {
  int64_t done = 0;
  do {  // an empty message travels too: it shows that the peer is there and agrees about the size
    const int count = static_cast<int>(std::min(num_bytes - done, kMaxMessageBytes));
    MPI_Request request = MPI_REQUEST_NULL;
    const int code = incoming
                         ? MPI_Irecv(data + done, count, MPI_BYTE, peer, operation_.tag, operation_.comm, &request)
                         : MPI_Isend(data + done, count, MPI_BYTE, peer, operation_.tag, operation_.comm, &request);
    check_mpi(code, operation_.title);
    requests_.push_back(request);
    messages_.push_back({peer, count, incoming});
    ++num_open_;
    done += count;
  } while (done < num_bytes);
}

void MpiTransfer::wait() {
  clock_ = Backoff();
  while (num_open_ > 0) {
    if (poll() > 0) {
      clock_.progress();
    } else if (operation_.deadline_s > 0 && clock_.elapsed_s() > operation_.deadline_s) {
      fail("waited for " + outstanding());
    } else {
      clock_.pause();
    }
  }
  kept_.clear();
}

int MpiTransfer::poll() {
  finished_.resize(requests_.size());
  statuses_.resize(requests_.size());
  int count = 0;
  const int code =
      MPI_Testsome(static_cast<int>(requests_.size()), requests_.data(), &count, finished_.data(), statuses_.data());
  if (code != MPI_SUCCESS && code != MPI_ERR_IN_STATUS) check_mpi(code, operation_.title);
  if (count == MPI_UNDEFINED) count = 0;
  num_open_ -= static_cast<size_t>(count);
  for (int n = 0; n < count; ++n) {
    MPI_Status& status = statuses_[n];
    if (code == MPI_SUCCESS) status.MPI_ERROR = MPI_SUCCESS;  // only set by MPI when some request failed
    check_arrival(messages_[finished_[n]], status);
  }
  return count;
}

void MpiTransfer::check_arrival(const Message& message, const MPI_Status& status) {
  const std::string peer = (message.incoming ? " from rank " : " to rank ") + std::to_string(message.peer);
  const std::string size = std::to_string(message.num_bytes) + " bytes" + peer;
  if (status.MPI_ERROR == MPI_ERR_TRUNCATE)
    fail("expected " + size + ", but it sends more: the ranks disagree about sizes");
  if (status.MPI_ERROR != MPI_SUCCESS) {
    try {
      check_mpi(status.MPI_ERROR, size);
    } catch (const CommError& error) {
      fail(error.what());
    }
  }
  if (!message.incoming) return;
  int arrived = 0;
  MPI_Get_count(&status, MPI_BYTE, &arrived);
  if (arrived != message.num_bytes) {
    fail("expected " + size + ", but it sent " + std::to_string(arrived) + ": the ranks disagree about sizes");
  }
}

std::string MpiTransfer::outstanding() const {
  std::map<int, int64_t> incoming, outgoing;  // peer -> bytes
  for (size_t n = 0; n < requests_.size(); ++n) {
    if (requests_[n] == MPI_REQUEST_NULL) continue;
    (messages_[n].incoming ? incoming : outgoing)[messages_[n].peer] += messages_[n].num_bytes;
  }
  std::ostringstream text;
  const char* comma = "";
  for (const auto& [peer, num_bytes] : incoming)
    text << std::exchange(comma, ", ") << num_bytes << " bytes from rank " << peer;
  for (const auto& [peer, num_bytes] : outgoing)
    text << std::exchange(comma, ", ") << "rank " << peer << " to take " << num_bytes << " bytes";
  return text.str();
}

void MpiTransfer::fail(const std::string& reason) {
  if (num_open_ > 0) new std::vector<at::Tensor>(std::move(kept_));  // leaked: MPI may still write to them
  num_open_ = 0;
  std::ostringstream text;
  text.precision(1);
  text << std::fixed << operation_.title << ": " << reason << " (after " << clock_.elapsed_s() << " s)";
  throw CommError(text.str());
}

}  // namespace cllm
