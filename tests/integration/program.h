#pragma once

#include <filesystem>
#include <string>

namespace cllm::testing {

/// Exit code and output (both streams) of a finished command.
struct Finished {
  int code = 0;
  std::string output;
};

/// Runs a shell command to its end.
Finished run(const std::string& command);

/// `mpirun -n ranks cllm4rec arguments`; one rank runs without mpirun.
std::string cllm4rec(int ranks, const std::string& arguments);

/// A small demo corpus and a tiny random-weight backbone, made once per test executable by the program itself.
struct SmallWorld {
  std::filesystem::path root, corpus, backbone;
};
const SmallWorld& small_world();

std::string read_file(const std::filesystem::path& path);

}  // namespace cllm::testing
