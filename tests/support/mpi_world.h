#pragma once

#include "dist/communicator/mpi_session.h"

namespace cllm::testing {
/// The session of the running multi-rank test executable (tests/mpi_main.cpp).
extern MpiSession* session;
}  // namespace cllm::testing
