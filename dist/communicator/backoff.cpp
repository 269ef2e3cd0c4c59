#include "dist/communicator/backoff.h"

#include <sched.h>

#include <thread>

namespace cllm {

void Backoff::pause() {
  using namespace std::chrono_literals;
  const auto quiet = Clock::now() - quiet_since_;
  if (quiet < 100us) return;
  if (quiet < 5ms) {
    sched_yield();
  } else {
    std::this_thread::sleep_for(100us);
  }
}

}  // namespace cllm
