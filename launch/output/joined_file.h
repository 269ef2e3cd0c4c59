#pragma once

#include <filesystem>
#include <fstream>
#include <string>

#include "dist/communicator/communicator.h"

namespace cllm {

/// A name that nobody else uses, for what lies on disk while `output` is made: beside it, or where it is no file ("-",
/// a pipe) in `folder`, else (not writable) in the folder for temporary files. The same on every rank. Collective.
std::string scratch_name(Communicator& comm, const std::string& output, const std::string& folder);

/// A file of which every rank writes a part; rank 0 joins them in rank order, into a file that takes its name when it
/// is whole, or into standard output. Parts are gone at the end.
class JoinedFile {
 public:
  /// `output`: the file, or "-": standard output. `option`: for messages. ConfigError: the part cannot be written.
  /// Collective.
  JoinedFile(Communicator& comm, std::string output, const std::string& folder, std::string option);
  ~JoinedFile();
  JoinedFile(const JoinedFile&) = delete;
  JoinedFile& operator=(const JoinedFile&) = delete;

  /// A line of this rank's part; `line` without its end.
  void write(const std::string& line) { part_ << line << '\n'; }
  /// ConfigError: no room. Collective.
  void join();

 private:
  std::string part_path(int rank) const { return scratch_ + ".part" + std::to_string(rank); }

  Communicator& comm_;
  std::string output_, option_, scratch_;
  std::ofstream part_;
};

}  // namespace cllm
