#include "tests/support/command.h"

#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>

namespace cllm::testing {

CommandResult run_command(const std::string& command) {
  FILE* pipe = popen(("timeout -s KILL 60 " + command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) throw std::runtime_error("cannot run: " + command);
  CommandResult result;
  std::array<char, 4096> buffer;
  while (const size_t count = std::fread(buffer.data(), 1, buffer.size(), pipe))
    result.output.append(buffer.data(), count);
  const int status = pclose(pipe);
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return result;
}

CommandResult run_test_as_program(int ranks, const std::string& test, const std::string& argument) {
  const std::string self = std::filesystem::read_symlink("/proc/self/exe");
  return run_command(
      "env CLLM_TEST_ARGUMENT='" + argument +
      "' OMP_NUM_THREADS=1 mpirun --allow-run-as-root --oversubscribe --mca mpi_yield_when_idle 1 --mca btl self,vader"
      " --bind-to none -n " +
      std::to_string(ranks) + " " + self + " --gtest_also_run_disabled_tests --gtest_filter=" + test);
}

std::string program_argument() {
  const char* argument = std::getenv("CLLM_TEST_ARGUMENT");
  if (argument == nullptr) throw std::runtime_error("this test is a program for run_test_as_program");
  return argument;
}

}  // namespace cllm::testing
