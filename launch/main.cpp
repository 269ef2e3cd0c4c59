#include <cstdio>
#include <cstring>

#include "launch/commands/command_line.h"
#include "launch/failures/agree.h"
#include "launch/failures/exit_codes.h"
#include "launch/plan/process_memory.h"
#include "launch/supervision/stop_signal.h"

namespace {

/// The one catch of the program. A failure that all ranks know of ends in order; any other ends the peers, who may be
/// waiting for us.
int run(cllm::MpiSession& mpi, int argc, char** argv) {
  std::string line;
  try {
    return cllm::run_command_line(mpi, argc, argv, /*may_end_mpi=*/true);
  } catch (const cllm::AgreedFailure& failure) {
    if (*failure.what() != '\0') std::fprintf(stderr, "cllm4rec: %s\n", failure.what());
    return failure.exit_code();
  } catch (...) {
    const int code = cllm::exit_code_of(std::current_exception(), line);
    std::fprintf(stderr, "cllm4rec: %s\n", line.c_str());
    if (mpi.world_size() == 1) return code;
    mpi.abort(code);
  }
}

void listen(int argc, char** argv, char** /*environment*/) {
  if (argc > 1 && (std::strcmp(argv[1], "train") == 0 || std::strcmp(argv[1], "tune") == 0)) cllm::StopSignal::listen();
}

/// Called by the loader before the shared libraries set themselves up: those take 0.3 s, in which a signal would kill
/// the rank.
[[gnu::section(".preinit_array"), gnu::used]] void (*listen_first)(int, char**, char**) = listen;

}  // namespace

int main(int argc, char** argv) {
  cllm::bound_process_memory();
  cllm::MpiSession mpi(&argc, &argv);
  return run(mpi, argc, argv);
}
