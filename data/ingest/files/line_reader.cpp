#include "data/ingest/files/line_reader.h"

#include <algorithm>
#include <cstring>

#include "data/errors.h"

namespace cllm {
namespace {

constexpr size_t kBlock = size_t{1} << 20;

}  // namespace

LineReader::LineReader(const std::filesystem::path& path, const std::string& encoding)
    : path_(path), bytes_(open_bytes(path, encoding)), buffer_(2 * kBlock) {}

bool LineReader::refill() {
  if (at_end_) return false;
  if (begin_ > 0) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  if (end_ + kBlock > buffer_.size()) {
    if (buffer_.size() > kMaxLine) {
      refuse_one_line();
      throw DataError(path_.string() + ":" + std::to_string(line_number_ + 1) + ": line longer than " +
                      std::to_string(kMaxLine >> 20) + " MiB; is this a text file?");
    }
    buffer_.resize(buffer_.size() * 2);
  }
  const size_t count = bytes_->read(buffer_.data() + end_, kBlock);
  end_ += count;
  at_end_ = count == 0;
  return count > 0;
}

void LineReader::refuse_one_line() const {
  const char* const begin = buffer_.data() + begin_;
  const char* const last = buffer_.data() + end_;
  const bool inner = std::find(begin, last, '\r') < last - 1;  // one at the end belongs to a CRLF that was cut
  if (line_number_ > 0 || begin_ == end_ || !inner) return;
  throw DataError(path_.string() + ": one line only; line ends of old Macs? `tr '\\r' '\\n' < OLD > NEW` converts it");
}

bool LineReader::next(std::string_view& line) {
  size_t searched = 0;
  while (true) {
    const char* start = buffer_.data() + begin_;
    const void* newline = std::memchr(start + searched, '\n', end_ - begin_ - searched);
    if (newline != nullptr) {
      const auto length = static_cast<size_t>(static_cast<const char*>(newline) - start);
      line = {start, length};
      begin_ += length + 1;
      break;
    }
    searched = end_ - begin_;
    if (refill()) continue;
    if (begin_ == end_) return false;
    refuse_one_line();
    line = {buffer_.data() + begin_, end_ - begin_};  // the last line has no newline
    begin_ = end_;
    break;
  }
  ++line_number_;
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  return true;
}

}  // namespace cllm
