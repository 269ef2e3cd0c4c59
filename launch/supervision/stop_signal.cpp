#include "launch/supervision/stop_signal.h"

#include <csignal>
#include <initializer_list>

namespace cllm {
namespace {

volatile std::sig_atomic_t first_signal = 0;  // the only thing that a handler may touch

void remember(int number) {
  if (first_signal == 0) first_signal = number;
}

}  // namespace

void StopSignal::listen() {
  struct sigaction action {};
  action.sa_handler = remember;
  action.sa_flags = SA_RESTART;  // a save in progress must not see EINTR
  for (const int number : {SIGUSR1, SIGTERM, SIGINT}) sigaction(number, &action, nullptr);
}

int StopSignal::received() { return first_signal; }

}  // namespace cllm
