#pragma once

#include <filesystem>
#include <string>

namespace cllm {

/// One training process tree per run folder: an advisory lock on <run.dir>/lock, held by rank 0 until it ends. The
/// kernel gives it back however the process ends, so there are no stale locks; it holds across the hosts of every file
/// system with POSIX locks (NFS, Lustre mounted with flock, GPFS). The file's text only says who the holder is.
class RunLock {
 public:
  /// Waits up to `wait_s` for a predecessor that is ending, for example the killed job that this one replaces; then
  /// ConfigError with the holder's words. A file system without locks gives a lock that is not held().
  explicit RunLock(const std::filesystem::path& dir, double wait_s = 10);
  ~RunLock();
  RunLock(const RunLock&) = delete;
  RunLock& operator=(const RunLock&) = delete;

  bool held() const { return held_; }

 private:
  int fd_ = -1;
  bool held_ = false;
};

}  // namespace cllm
