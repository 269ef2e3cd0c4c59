#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

namespace cllm {

/// The bytes of an input file, decompressed and in UTF-8.
class ByteStream {
 public:
  virtual ~ByteStream() = default;
  /// At most `bytes` of them, 0 only at the end. DataError: cannot be read, truncated, damaged.
  virtual size_t read(char* data, size_t bytes) = 0;
  /// Bytes of the file on disk used so far, for progress.
  virtual uint64_t consumed() const = 0;
};

/// Opens a plain, gzip (.gz) or zstd (.zst) file or a member of a zip archive (archive.zip/member, which may be
/// compressed again). `encoding`: what iconv calls it, latin-1 or utf-16; empty: UTF-8, or UTF-16 where the file begins
/// with its byte order mark. Byte order marks are skipped. Bytes that are no character of the encoding come out as
/// 0xFF, which is none in UTF-8 either, so that their row is bad. DataError: cannot open, unknown encoding, or a build
/// without the library of the compression.
std::unique_ptr<ByteStream> open_bytes(const std::filesystem::path& path, const std::string& encoding = "");

// Parts of it.
std::unique_ptr<ByteStream> open_zstd(std::unique_ptr<ByteStream> compressed, const std::string& name);
std::unique_ptr<ByteStream> open_zip_member(const std::filesystem::path& archive, const std::string& member);
/// The text of another encoding as UTF-8; the stream starts with `first`.
std::unique_ptr<ByteStream> recode(std::unique_ptr<ByteStream> bytes, std::string first, const std::string& encoding,
                                   const std::string& name);

}  // namespace cllm
