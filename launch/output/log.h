#pragma once

// What a person reads while a command runs. spdlog stays inside log.cpp (its fmt clashes with torch's headers).

#include <memory>
#include <string>

namespace cllm {

/// Lines with the time of day on standard error, and in a file once attach_file() was called. info() speaks on rank 0
/// only; warn() and error() on every rank, marked with the rank when there are several. Thread-safe.
class Log {
 public:
  Log(int rank, int world_size);
  ~Log();
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  /// Rank 0 also appends to <dir>/train.log, another rank to <dir>/train.rank<r>.log from its first line on.
  /// A file that cannot be opened is a warning, not an error.
  /// The file of another folder before it is closed.
  void attach_file(const std::string& dir);
  /// From now on info() speaks in the file alone, or on standard error as well again.
  void be_quiet(bool quiet);

  void info(const std::string& line);
  void warn(const std::string& line);
  void error(const std::string& line);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// True if standard error ends at a terminal. Under mpirun a rank sees a pipe or a pty of mpirun's own, so there the
/// answer is that of mpirun's standard error.
bool writes_to_terminal();

}  // namespace cllm
