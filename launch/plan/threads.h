#pragma once

#include <cstdint>

namespace cllm {

/// Compute threads of a rank; asked 0: what OMP_NUM_THREADS says, else its share of the host's cores.
int64_t threads_of_rank(int64_t asked, int64_t ranks_of_host);

}  // namespace cllm
