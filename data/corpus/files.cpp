#include "data/corpus/files.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>
#include <utility>
#include <vector>

#include "data/errors.h"

namespace cllm {
namespace {

class FileDescriptor {
 public:
  FileDescriptor(const std::filesystem::path& path, int flags) : fd_(::open(path.c_str(), flags | O_CLOEXEC)) {
    if (fd_ < 0) throw DataError(path.string() + ": cannot open: " + std::strerror(errno));
  }
  FileDescriptor(const FileDescriptor&) = delete;
  ~FileDescriptor() { ::close(fd_); }
  int get() const { return fd_; }

 private:
  int fd_;
};

std::string hex(uint64_t value) {
  std::string digits(16, '0');
  for (size_t n = 16; n-- > 0; value >>= 4) digits[n] = "0123456789abcdef"[value & 15];
  return digits;
}

}  // namespace

MappedFile::MappedFile(const std::filesystem::path& path)
    : MappedFile(FileDescriptor(path, O_RDONLY).get(), path.string()) {}

MappedFile::MappedFile(int descriptor, const std::string& name) {
  struct stat status {};
  if (::fstat(descriptor, &status) != 0) throw DataError(name + ": cannot read its size: " + std::strerror(errno));
  if (!S_ISREG(status.st_mode)) throw DataError(name + ": not a regular file");
  if (status.st_size == 0) return;
  void* mapped = ::mmap(nullptr, static_cast<size_t>(status.st_size), PROT_READ, MAP_SHARED, descriptor, 0);
  if (mapped == MAP_FAILED) throw DataError(name + ": cannot map: " + std::strerror(errno));
  data_ = static_cast<const std::byte*>(mapped);
  size_ = static_cast<size_t>(status.st_size);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

std::string checksum_of_file(const std::filesystem::path& path) {
  const FileDescriptor file(path, O_RDONLY);
  const std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> state(XXH3_createState(), &XXH3_freeState);
  XXH3_64bits_reset(state.get());
  std::vector<char> block(size_t{1} << 20);
  while (true) {
    const ssize_t count = ::read(file.get(), block.data(), block.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw DataError(path.string() + ": cannot read: " + std::strerror(errno));
    if (count == 0) break;
    XXH3_64bits_update(state.get(), block.data(), static_cast<size_t>(count));
  }
  return hex(XXH3_64bits_digest(state.get()));
}

std::string digest_of(std::string_view text) {
  const XXH128_hash_t digest = XXH3_128bits(text.data(), text.size());
  return hex(digest.high64) + hex(digest.low64);
}

std::string read_small_file(const std::filesystem::path& path, uint64_t max_bytes) {
  const MappedFile file(path);
  if (file.bytes().size() > max_bytes) {
    throw DataError(path.string() + ": " + std::to_string(file.bytes().size()) + " bytes, more than the " +
                    std::to_string(max_bytes) + " that such a file may have");
  }
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

void write_small_file(const std::filesystem::path& path, std::string_view text) {
  std::ofstream out(path, std::ios::binary);
  out.write(text.data(), static_cast<std::streamsize>(text.size()));
  out.close();
  if (!out) throw DataError(path.string() + ": cannot write: " + std::strerror(errno));
}

void sync_to_disk(const std::filesystem::path& path) {
  const FileDescriptor file(path, O_RDONLY);
  if (::fsync(file.get()) != 0) throw DataError(path.string() + ": cannot flush to disk: " + std::strerror(errno));
}

}  // namespace cllm
