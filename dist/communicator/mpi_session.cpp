#include "dist/communicator/mpi_session.h"

#include <cstdlib>
#include <exception>

#include "dist/communicator/mpi_private.h"
#include "dist/errors.h"

namespace cllm {

void check_mpi(int code, const std::string& what) {
  if (code == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING];
  int length = 0;
  MPI_Error_string(code, text, &length);
  throw CommError(what + ": " + std::string(text, static_cast<size_t>(length)));
}

namespace {

bool has_ended() {
  int ended = 0;
  MPI_Finalized(&ended);
  return ended != 0;
}

}  // namespace

MpiComm::MpiComm(MPI_Comm handle) : handle_(handle) { MPI_Comm_set_errhandler(handle_, MPI_ERRORS_RETURN); }

MpiComm::~MpiComm() {
  if (handle_ != MPI_COMM_NULL && !has_ended()) MPI_Comm_free(&handle_);
}

int MpiComm::rank() const {
  int rank = 0;
  MPI_Comm_rank(handle_, &rank);
  return rank;
}

int MpiComm::size() const {
  int size = 0;
  MPI_Comm_size(handle_, &size);
  return size;
}

struct MpiSession::Impl {
  int rank = 0, world_size = 1, local_rank = 0, local_size = 1;
  int exceptions_before = 0;
};

namespace {

MpiComm host_comm() {
  MPI_Comm host = MPI_COMM_NULL;
  check_mpi(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &host),
            "find the ranks of this host");
  return MpiComm(host);
}

}  // namespace

MpiSession::MpiSession(int* argc, char*** argv) : impl_(std::make_unique<Impl>()) {
  int provided = MPI_THREAD_SINGLE;
  check_mpi(MPI_Init_thread(argc, argv, MPI_THREAD_MULTIPLE, &provided), "MPI_Init_thread");
  if (provided < MPI_THREAD_MULTIPLE) {
    throw CommError(
        "this MPI library offers no MPI_THREAD_MULTIPLE, which checkpoints and prefetching need: use Open MPI >= 4");
  }
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  MPI_Comm_rank(MPI_COMM_WORLD, &impl_->rank);
  MPI_Comm_size(MPI_COMM_WORLD, &impl_->world_size);
  const MpiComm host = host_comm();
  impl_->local_rank = host.rank();
  impl_->local_size = host.size();
  impl_->exceptions_before = std::uncaught_exceptions();
}

MpiSession::~MpiSession() {
  if (std::uncaught_exceptions() <= impl_->exceptions_before) finalize();
}

void MpiSession::finalize() {
  if (!has_ended()) MPI_Finalize();
}

int MpiSession::rank() const { return impl_->rank; }
int MpiSession::world_size() const { return impl_->world_size; }
int MpiSession::local_rank() const { return impl_->local_rank; }
int MpiSession::local_size() const { return impl_->local_size; }

std::unique_ptr<Communicator> MpiSession::world(double deadline_s) {
  MPI_Comm copy = MPI_COMM_NULL;
  check_mpi(MPI_Comm_dup(MPI_COMM_WORLD, &copy), "duplicate the world communicator");
  return make_mpi_communicator(MpiComm(copy), "world", deadline_s);
}

std::unique_ptr<Communicator> MpiSession::host(double deadline_s) {
  return make_mpi_communicator(host_comm(), "host", deadline_s);
}

TwoLevels MpiSession::levels(int ranks_per_node, double deadline_s) {
  const auto part = [&](int colour, const char* name) {
    MPI_Comm comm = MPI_COMM_NULL;
    check_mpi(MPI_Comm_split(MPI_COMM_WORLD, colour, impl_->rank, &comm),
              std::string("find the ranks of this ") + name);
    return make_mpi_communicator(MpiComm(comm), name, deadline_s);
  };
  return {part(impl_->rank / ranks_per_node, "node"), part(impl_->rank % ranks_per_node, "rail")};
}

void MpiSession::abort(int exit_code) {
  if (!has_ended()) MPI_Abort(MPI_COMM_WORLD, exit_code);
  std::_Exit(exit_code);
}

}  // namespace cllm
