#include "data/ingest/storage/spill.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "data/errors.h"

namespace cllm {

SpillFile::SpillFile(const std::filesystem::path& dir) {
  std::string name = (dir / "spill-XXXXXX").string();
  fd_ = ::mkostemp(name.data(), O_CLOEXEC);
  if (fd_ < 0) throw DataError(dir.string() + ": cannot create a temporary file: " + std::strerror(errno));
  ::unlink(name.c_str());
}

SpillFile::~SpillFile() {
  if (fd_ >= 0) ::close(fd_);
}

void SpillFile::append(const void* data, size_t bytes) {
  const char* from = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t count = ::pwrite(fd_, from, bytes, static_cast<off_t>(size_));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0)
      throw DataError(std::string("cannot write a temporary file next to the output: ") + std::strerror(errno));
    from += count;
    bytes -= static_cast<size_t>(count);
    size_ += static_cast<uint64_t>(count);
  }
}

void SpillFile::read(void* data, size_t bytes, uint64_t offset) const {
  char* to = static_cast<char*>(data);
  while (bytes > 0) {
    const ssize_t count = ::pread(fd_, to, bytes, static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0)
      throw DataError(std::string("cannot read a temporary file back: ") +
                      (count < 0 ? std::strerror(errno) : "it ends early"));
    to += count;
    bytes -= static_cast<size_t>(count);
    offset += static_cast<uint64_t>(count);
  }
}

}  // namespace cllm
