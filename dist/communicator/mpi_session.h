#pragma once

#include <memory>
#include <string>

#include "dist/communicator/communicator.h"
#include "dist/communicator/two_level.h"

namespace cllm {

/// MPI_Init … MPI_Finalize as an object; one per process, created in main. Works without mpirun as a world of one.
/// If it is destroyed while an exception unwinds, it does not finalise (peers may be inside a collective): main calls
/// abort().
class MpiSession {
 public:
  MpiSession(int* argc, char*** argv);
  ~MpiSession();
  MpiSession(const MpiSession&) = delete;
  MpiSession& operator=(const MpiSession&) = delete;

  int rank() const;
  int world_size() const;
  /// Rank among the processes of this host, and their number.
  int local_rank() const;
  int local_size() const;
  /// The world communicator for CPU tensors. `deadline_s`: seconds after which a collective throws CommError (0: none).
  std::unique_ptr<Communicator> world(double deadline_s = 0);
  /// The ranks of this host (shared memory domain), for reading a file once per host.
  std::unique_ptr<Communicator> host(double deadline_s = 0);
  /// Nodes of `ranks_per_node` neighbouring ranks, which must divide the world: the hosts, or any made-up ones.
  TwoLevels levels(int ranks_per_node, double deadline_s = 0);
  /// The end of MPI, which the destructor brings otherwise. Collective; no communicator may be used after it.
  void finalize();
  /// Ends all ranks with this exit code. Does not return.
  [[noreturn]] void abort(int exit_code);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cllm
