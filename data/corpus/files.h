#pragma once

// Small file operations that both the writer and the reader of a corpus need. All errors are DataError with the path
// and the reason.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace cllm {

/// A whole file mapped read-only. The file must not be shortened while it is mapped.
class MappedFile {
 public:
  MappedFile() = default;
  explicit MappedFile(const std::filesystem::path& path);
  MappedFile(int descriptor, const std::string& name);  // of an open file; name is for errors
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return {data_, size_}; }

 private:
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

/// XXH3-64 of a file's bytes as 16 hexadecimal digits; reads in blocks, so memory is constant.
std::string checksum_of_file(const std::filesystem::path& path);

/// XXH3-128 of a string as 32 hexadecimal digits.
std::string digest_of(std::string_view text);

/// At most max_bytes; more is a DataError, so that a wrong file cannot fill the memory.
std::string read_small_file(const std::filesystem::path& path, uint64_t max_bytes);

void write_small_file(const std::filesystem::path& path, std::string_view text);

/// fsync of a file or a directory.
void sync_to_disk(const std::filesystem::path& path);

}  // namespace cllm
