#pragma once

// Private to dist/*.cpp, because it includes <mpi.h>.

#define OMPI_SKIP_MPICXX 1  // the C API only: mpi.h must not pull in the C++ bindings, which need another library
#define MPICH_SKIP_MPICXX 1
#include <mpi.h>

#include <memory>
#include <string>
#include <utility>

#include "dist/communicator/communicator.h"

namespace cllm {

/// Throws CommError with MPI's own text unless `code` is MPI_SUCCESS.
void check_mpi(int code, const std::string& what);

/// Owns an MPI communicator whose errors are returned, not fatal. Freed on destruction unless MPI has been finalised
/// before.
class MpiComm {
 public:
  explicit MpiComm(MPI_Comm handle);
  MpiComm(MpiComm&& other) noexcept : handle_(std::exchange(other.handle_, MPI_COMM_NULL)) {}
  MpiComm& operator=(MpiComm&&) = delete;
  ~MpiComm();

  MPI_Comm handle() const { return handle_; }
  int rank() const;
  int size() const;

 private:
  MPI_Comm handle_;
};

/// `name` stands in every error message. `deadline_s`: see MpiSession::world.
std::unique_ptr<Communicator> make_mpi_communicator(MpiComm comm, const std::string& name, double deadline_s);

}  // namespace cllm
