#include "launch/stop_signal.h"

#include <array>
#include <csignal>

namespace cllm {
namespace {

constexpr std::array kSignals{SIGUSR1, SIGTERM, SIGINT};
volatile std::sig_atomic_t first_signal = 0;  // the only thing that a handler may touch
std::array<struct sigaction, kSignals.size()> previous;

void remember(int number) {
  if (first_signal == 0) first_signal = number;
}

}  // namespace

StopSignal::StopSignal() {
  first_signal = 0;
  struct sigaction action {};
  action.sa_handler = remember;
  action.sa_flags = SA_RESTART;  // a save in progress must not see EINTR
  for (size_t n = 0; n < kSignals.size(); ++n) sigaction(kSignals[n], &action, &previous[n]);
}

StopSignal::~StopSignal() {
  for (size_t n = 0; n < kSignals.size(); ++n) sigaction(kSignals[n], &previous[n], nullptr);
}

int StopSignal::received() { return first_signal; }

}  // namespace cllm
