#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace cllm::testing {

/// Exit code and output (both streams) of a finished command.
struct Finished {
  int code = 0;
  std::string output;
};

/// Runs a shell command to its end.
Finished run(const std::string& command);

/// The program under test: $CLLM4REC, or that of the build.
std::string program_path();

/// `mpirun -n ranks cllm4rec arguments`; one rank runs without mpirun.
std::string cllm4rec(int ranks, const std::string& arguments);

/// A small demo corpus and a tiny random-weight backbone, made once per test executable by the program itself.
struct SmallWorld {
  std::filesystem::path root, corpus, backbone;
};
const SmallWorld& small_world();

/// A folder of that name in the small world's, not there yet.
std::filesystem::path fresh_dir(const std::string& name);

/// The losses of every step of a run (log.every_steps=1) in the order of training.
std::vector<double> losses_of(const std::filesystem::path& dir);

std::string read_file(const std::filesystem::path& path);

/// Everything that a run leaves and that does not hold a time: metrics, best state, exported tables.
std::string fingerprint(const std::filesystem::path& dir);

}  // namespace cllm::testing
