#include <cstdio>
#include <string_view>

#include "launch/agree.h"
#include "launch/commands/command_line.h"
#include "launch/exit_codes.h"
#include "launch/stop_signal.h"

namespace {

/// The one catch of the program. A failure that all ranks know of ends in order; any other ends the peers, who may be waiting for us.
int run(cllm::MpiSession& mpi, int argc, char** argv) {
  std::string line;
  try {
    return cllm::run_command_line(mpi, argc, argv);
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

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1 && std::string_view(argv[1]) == "train") cllm::StopSignal::listen();
  cllm::MpiSession mpi(&argc, &argv);
  return run(mpi, argc, argv);
}
