#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string_view>
#include <vector>

namespace cllm {

/// Lines of a plain or gzip-compressed file, without their line ends (LF or CRLF); a byte order mark at the start is
/// skipped. DataError: cannot open or read, truncated gzip, a line longer than kMaxLine.
class LineReader {
 public:
  static constexpr size_t kMaxLine = size_t{64} << 20;

  explicit LineReader(const std::filesystem::path& path);

  /// The view is valid until the next call. False at the end.
  bool next(std::string_view& line);
  uint64_t line_number() const { return line_number_; }  // of the line that next() gave, from 1
  uint64_t bytes_consumed() const;                       // of the file as it is on disk, for progress
  const std::filesystem::path& path() const { return path_; }

 private:
  struct Gz;
  struct CloseGz {
    void operator()(Gz* file) const;
  };
  bool refill();

  std::filesystem::path path_;
  std::unique_ptr<Gz, CloseGz> file_;
  std::vector<char> buffer_;
  size_t begin_ = 0, end_ = 0;  // unread part of the buffer
  bool at_end_ = false;
  uint64_t line_number_ = 0;
};

}  // namespace cllm
