#pragma once

#include <string>

namespace cllm::testing {

struct CommandResult {
  int exit_code = -1;  // 128 + n after signal n, as in a shell
  std::string output;  // standard output and error
};

/// Runs a shell command line; it is killed after 60 s (exit code 137).
CommandResult run_command(const std::string& command);

/// Runs one test of this very executable as a program of its own under mpirun. The test is named DISABLED_..., so that
/// it runs only here, and reads `argument` back by program_argument().
CommandResult run_test_as_program(int ranks, const std::string& test, const std::string& argument);
std::string program_argument();

}  // namespace cllm::testing
