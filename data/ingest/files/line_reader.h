#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string_view>
#include <vector>

#include "data/ingest/files/byte_stream.h"

namespace cllm {

/// Lines of an input file (byte_stream.h), without their line ends (LF or CRLF). DataError: cannot open or read,
/// damaged compression, a line longer than kMaxLine, a single line with the line ends of old Macs (CR) in it.
class LineReader {
 public:
  static constexpr size_t kMaxLine = size_t{64} << 20;

  explicit LineReader(const std::filesystem::path& path, const std::string& encoding = "");

  /// The view is valid until the next call. False at the end.
  bool next(std::string_view& line);
  uint64_t line_number() const { return line_number_; }           // of the line that next() gave, from 1
  uint64_t bytes_consumed() const { return bytes_->consumed(); }  // of the file as it is on disk, for progress
  const std::filesystem::path& path() const { return path_; }

 private:
  bool refill();
  void refuse_one_line() const;

  std::filesystem::path path_;
  std::unique_ptr<ByteStream> bytes_;
  std::vector<char> buffer_;
  size_t begin_ = 0, end_ = 0;  // unread part of the buffer
  bool at_end_ = false;
  uint64_t line_number_ = 0;
};

}  // namespace cllm
