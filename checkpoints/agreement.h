#pragma once

#include <functional>
#include <string>
#include <vector>

#include "dist/communicator/communicator.h"

namespace cllm {

/// Runs `work` on this rank and tells all ranks how it went. If it succeeded everywhere, returns the results in rank
/// order; otherwise every rank throws the same CheckpointError, which names the first rank that failed and its reason.
/// An exception of `work` that is no CheckpointError gets `exit_code`. CommError passes. Collective; replaces a barrier
/// after I/O.
std::vector<std::string> agree(Communicator& comm, int exit_code, const std::function<std::string()>& work);

/// agree() for work that only rank 0 does; its result on every rank.
std::string agree_on_rank_0(Communicator& comm, int exit_code, const std::function<std::string()>& work);

}  // namespace cllm
