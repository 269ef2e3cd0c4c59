#include <fcntl.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "checkpoints/errors.h"
#include "checkpoints/format/shard_file.h"

namespace cllm {
namespace {

[[noreturn]] void refuse(const std::filesystem::path& path, const std::string& what) {
  throw CheckpointError(CheckpointError::kUnusable, path.string() + ": " + what);
}

Descriptor open_for_reading(const std::filesystem::path& path) {
  Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) refuse(path, std::string("cannot open: ") + std::strerror(errno));
  return file;
}

void read_fully(int fd, const std::filesystem::path& path, int64_t offset, int64_t num_bytes, std::byte* out) {
  while (num_bytes > 0) {
    const ssize_t count = ::pread(fd, out, static_cast<size_t>(num_bytes), offset);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) refuse(path, std::string("cannot read: ") + std::strerror(errno));
    if (count == 0) refuse(path, "ends at byte " + std::to_string(offset));
    offset += count;
    num_bytes -= count;
    out += count;
  }
}

}  // namespace

ShardReader::ShardReader(const std::filesystem::path& directory, const ShardEntry& entry)
    : path_(directory / entry.file), entry_(entry), file_(open_for_reading(path_)) {}

int64_t ShardReader::block_size(int64_t block) const {
  return std::min(kBlockBytes, entry_.num_bytes - block * kBlockBytes);
}

void ShardReader::read_block(int64_t block, std::byte* out) {
  read_fully(file_.get(), path_, block * kBlockBytes, block_size(block), out);
  const uint64_t found = XXH3_64bits(out, static_cast<size_t>(block_size(block)));
  if (found == entry_.block_sums[block]) return;
  char text[120];
  std::snprintf(text, sizeof(text), "bytes from %lld: expected checksum %016llx, found %016llx",
                static_cast<long long>(block * kBlockBytes), static_cast<unsigned long long>(entry_.block_sums[block]),
                static_cast<unsigned long long>(found));
  refuse(path_, text);
}

const std::byte* ShardReader::cached_block(int64_t block) {
  if (buffered_ != block) {
    buffer_.resize(static_cast<size_t>(std::min(kBlockBytes, entry_.num_bytes)));
    buffered_ = -1;
    read_block(block, buffer_.data());
    buffered_ = block;
  }
  return buffer_.data();
}

void ShardReader::read(int64_t offset, int64_t num_bytes, std::byte* out) {
  while (num_bytes > 0) {
    const int64_t block = offset / kBlockBytes, inside = offset % kBlockBytes;
    const int64_t count = std::min(num_bytes, block_size(block) - inside);
    if (count == block_size(block)) {
      read_block(block, out);
    } else {
      std::memcpy(out, cached_block(block) + inside, static_cast<size_t>(count));
    }
    offset += count;
    out += count;
    num_bytes -= count;
  }
}

void ShardReader::verify() {
  for (int64_t block = 0; block < static_cast<int64_t>(entry_.block_sums.size()); ++block) cached_block(block);
}

}  // namespace cllm
