#include "launch/plan/threads.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>

namespace cllm {

int64_t threads_of_rank(int64_t asked, int64_t ranks_of_host) {
  const char* const given = std::getenv("OMP_NUM_THREADS");
  constexpr int64_t kMost = 4096;
  if (asked == 0 && given != nullptr) asked = std::clamp<int64_t>(std::atoll(given), 0, kMost);
  const int64_t cores = std::max<int64_t>(1, sysconf(_SC_NPROCESSORS_ONLN));
  return asked > 0 ? asked : std::max<int64_t>(1, cores / ranks_of_host);
}

}  // namespace cllm
