#pragma once

#include <cstdint>
#include <cstdio>
#include <string>

namespace cllm {

/// A file of the run folder that only grows. Every failure throws std::system_error with the path.
class AppendFile {
 public:
  /// Keeps the first `keep_bytes` of what is there (fewer if it is shorter) and appends after them.
  AppendFile(std::string path, uint64_t keep_bytes);
  ~AppendFile();
  AppendFile(const AppendFile&) = delete;
  AppendFile& operator=(const AppendFile&) = delete;

  void write(const std::string& bytes);
  void flush();
  /// flush() and fsync.
  void sync();

 private:
  [[noreturn]] void fail(const char* what) const;

  std::string path_;
  std::FILE* file_;
};

/// The whole file; "" if it does not exist.
std::string read_whole_file(const std::string& path);

/// Writes beside the target, syncs and renames, so that nobody ever sees half a file. Throws std::system_error with the
/// path.
void write_whole_file(const std::string& path, const std::string& bytes);

}  // namespace cllm
