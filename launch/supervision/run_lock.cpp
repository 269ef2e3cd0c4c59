#include "launch/supervision/run_lock.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <thread>

#include "launch/failures/errors.h"

namespace cllm {
namespace {

/// "job 12, host n1, process 345, since 2026-11-21T10:00:00Z"
std::string who_am_i() {
  std::array<char, 256> host{};
  gethostname(host.data(), host.size() - 1);
  std::array<char, 32> now{};
  const std::time_t seconds = std::time(nullptr);
  std::tm utc{};
  std::strftime(now.data(), now.size(), "%FT%TZ", gmtime_r(&seconds, &utc));
  const char* job = std::getenv("SLURM_JOB_ID");
  return (job ? "job " + std::string(job) + ", " : "") + "host " + host.data() + ", process " +
         std::to_string(getpid()) + ", since " + now.data();
}

std::string read_text(int fd) {
  std::array<char, 512> buffer{};
  const ssize_t count = pread(fd, buffer.data(), buffer.size(), 0);
  std::string text(buffer.data(), static_cast<size_t>(std::max<ssize_t>(count, 0)));
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text.empty() ? "another process" : text;
}

/// 0, or the error. An "open file description" lock: it belongs to this descriptor, so closing another one does not
/// drop it.
int try_lock(int fd) {
  struct flock whole_file {};
  whole_file.l_type = F_WRLCK;
  whole_file.l_whence = SEEK_SET;
  return fcntl(fd, F_OFD_SETLK, &whole_file) == 0 ? 0 : errno;
}

}  // namespace

RunLock::RunLock(const std::filesystem::path& dir, double wait_s) {
  const std::filesystem::path path = dir / "lock";
  std::error_code ignored;  // the open below tells what is wrong
  std::filesystem::create_directories(dir, ignored);
  fd_ = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (fd_ < 0)
    throw ConfigError("cannot write " + path.string() + ": " + std::strerror(errno) + "; choose another run.dir");
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(wait_s);
  int error = try_lock(fd_);
  while ((error == EAGAIN || error == EACCES) && std::chrono::steady_clock::now() < end) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    error = try_lock(fd_);
  }
  if (error == EAGAIN || error == EACCES) {
    const std::string holder = read_text(fd_);
    close(fd_);
    throw ConfigError("run.dir " + dir.string() + " is in use by " + holder +
                      ": wait until it has ended, stop it, or choose another run.dir");
  }
  held_ = error == 0;
  const std::string text = who_am_i() + "\n";
  if (held_ && ftruncate(fd_, 0) == 0) (void)!pwrite(fd_, text.data(), text.size(), 0);
}

RunLock::~RunLock() { close(fd_); }

}  // namespace cllm
