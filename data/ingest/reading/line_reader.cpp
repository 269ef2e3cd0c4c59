#include "data/ingest/reading/line_reader.h"

#include <zlib.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "data/errors.h"

namespace cllm {
namespace {

constexpr unsigned kBlock = 1u << 20;

gzFile as_gz(void* file) { return static_cast<gzFile>(file); }

}  // namespace

void LineReader::CloseGz::operator()(Gz* file) const { gzclose(as_gz(static_cast<void*>(file))); }

LineReader::LineReader(const std::filesystem::path& path) : path_(path), buffer_(2 * kBlock) {
  if (std::filesystem::is_directory(path)) throw DataError(path.string() + ": a folder, not a file");
  gzFile file = gzopen(path.c_str(), "rb");
  if (file == nullptr) throw DataError(path.string() + ": cannot open: " + std::strerror(errno));
  file_.reset(static_cast<Gz*>(static_cast<void*>(file)));
  gzbuffer(file, kBlock);
  refill();
  if (end_ >= 3 && std::memcmp(buffer_.data(), "\xEF\xBB\xBF", 3) == 0) begin_ = 3;
}

bool LineReader::refill() {
  if (at_end_) return false;
  if (begin_ > 0) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  if (end_ + kBlock > buffer_.size()) {
    if (buffer_.size() > kMaxLine) {
      throw DataError(path_.string() + ":" + std::to_string(line_number_ + 1) + ": line longer than " +
                      std::to_string(kMaxLine >> 20) + " MiB; is this a text file?");
    }
    buffer_.resize(buffer_.size() * 2);
  }
  const gzFile file = as_gz(static_cast<void*>(file_.get()));
  const int count = gzread(file, buffer_.data() + end_, kBlock);
  int error = Z_OK;
  const char* reason = gzerror(file, &error);
  if (count < 0 || error < 0) {  // Z_BUF_ERROR after the last byte: the gzip stream was cut
    throw DataError(path_.string() + ": cannot read after line " + std::to_string(line_number_) + ": " +
                    (error == Z_ERRNO       ? std::strerror(errno)
                     : error == Z_BUF_ERROR ? "the file is truncated"
                                            : reason));
  }
  end_ += static_cast<size_t>(count);
  at_end_ = count == 0;
  return count > 0;
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
    line = {buffer_.data() + begin_, end_ - begin_};  // the last line has no newline
    begin_ = end_;
    break;
  }
  ++line_number_;
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  return true;
}

uint64_t LineReader::bytes_consumed() const {
  const auto offset = gzoffset(as_gz(static_cast<void*>(file_.get())));
  return offset < 0 ? 0 : static_cast<uint64_t>(offset);
}

}  // namespace cllm
