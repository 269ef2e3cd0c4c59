#pragma once

#include <memory>

#include "dist/communicator/communicator.h"

namespace cllm {

/// One communicator for CPU tensors and for those of a GPU: `host` moves the former, `device` the latter, both over the
/// same ranks. So the code above is the same with and without a GPU: counts, ids and scalars travel from the host's
/// memory, rows from where they are. device() is the CPU, where small values of the host belong. duplicate() duplicates
/// both, duplicate_on_host() `host` alone.
std::unique_ptr<Communicator> join(std::unique_ptr<Communicator> host, std::unique_ptr<Communicator> device);

}  // namespace cllm
