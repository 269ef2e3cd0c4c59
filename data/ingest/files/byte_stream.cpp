#include "data/ingest/files/byte_stream.h"

#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "data/errors.h"
#include "data/ingest/files/first_bytes.h"
#include "data/ingest/files/input_files.h"

namespace cllm {
namespace {

constexpr unsigned kBlock = 1u << 20;

/// A plain or gzip file.
class GzStream : public ByteStream {
 public:
  explicit GzStream(const std::filesystem::path& path) : name_(path.string()) {
    if (std::filesystem::is_directory(path)) throw DataError(name_ + ": a folder, not a file");
    file_.reset(gzopen(path.c_str(), "rb"));
    if (file_ == nullptr) throw DataError(name_ + ": cannot open: " + std::strerror(errno));
    gzbuffer(file_.get(), kBlock);
  }
  size_t read(char* data, size_t bytes) override {
    const int count = gzread(file_.get(), data, static_cast<unsigned>(std::min<size_t>(bytes, kBlock)));
    int error = Z_OK;
    const char* reason = gzerror(file_.get(), &error);
    if (count < 0 || error < 0) {  // Z_BUF_ERROR after the last byte: the gzip stream was cut
      throw DataError(name_ + ": cannot read: " +
                      (error == Z_ERRNO       ? std::strerror(errno)
                       : error == Z_BUF_ERROR ? "the file is truncated"
                                              : reason));
    }
    return static_cast<size_t>(count);
  }
  uint64_t consumed() const override {
    const auto offset = gzoffset(file_.get());
    return offset < 0 ? 0 : static_cast<uint64_t>(offset);
  }

 private:
  struct Close {
    void operator()(gzFile_s* file) const { gzclose(file); }
  };
  std::string name_;
  std::unique_ptr<gzFile_s, Close> file_;
};

/// gzip inside of another stream: a .gz member of a zip archive.
class Inflated : public ByteStream {
 public:
  Inflated(std::unique_ptr<ByteStream> bytes, std::string name) : bytes_(std::move(bytes)), name_(std::move(name)) {
    constexpr int kGzip = 16 + MAX_WBITS;
    if (inflateInit2(&state_, kGzip) != Z_OK) throw DataError(name_ + ": zlib cannot be started");
  }
  ~Inflated() override { inflateEnd(&state_); }
  size_t read(char* data, size_t bytes) override {
    state_.next_out = reinterpret_cast<Bytef*>(data);
    state_.avail_out = static_cast<uInt>(std::min<size_t>(bytes, kBlock));
    const uInt wanted = state_.avail_out;
    while (state_.avail_out == wanted && !done_) {
      if (state_.avail_in == 0) {
        state_.next_in = reinterpret_cast<Bytef*>(buffer_.data());
        state_.avail_in = static_cast<uInt>(bytes_->read(buffer_.data(), buffer_.size()));
      }
      const int result = inflate(&state_, Z_NO_FLUSH);  // without input it hands out what it holds back
      if (result == Z_BUF_ERROR) throw DataError(name_ + ": cannot read: the file is truncated");
      if (result != Z_OK && result != Z_STREAM_END) throw DataError(name_ + ": cannot read: damaged gzip data");
      done_ = result == Z_STREAM_END && !begins_another();
    }
    return wanted - state_.avail_out;
  }
  uint64_t consumed() const override { return bytes_->consumed(); }

 private:
  /// gzip files may be several, one behind the other.
  bool begins_another() {
    if (state_.avail_in == 0) {
      state_.next_in = reinterpret_cast<Bytef*>(buffer_.data());
      state_.avail_in = static_cast<uInt>(bytes_->read(buffer_.data(), buffer_.size()));
    }
    constexpr Bytef kFirstByte = 0x1F;
    return state_.avail_in > 0 && *state_.next_in == kFirstByte && inflateReset(&state_) == Z_OK;
  }

  std::unique_ptr<ByteStream> bytes_;
  std::string name_, buffer_ = std::string(kBlock / 16, '\0');
  z_stream state_{};
  bool done_ = false;
};

/// A stream whose first bytes were looked at.
class Rejoined : public ByteStream {
 public:
  Rejoined(std::unique_ptr<ByteStream> bytes, std::string first) : bytes_(std::move(bytes)), first_(std::move(first)) {}
  size_t read(char* data, size_t bytes) override {
    if (at_ == first_.size()) return bytes_->read(data, bytes);
    const size_t count = std::min(bytes, first_.size() - at_);
    std::memcpy(data, first_.data() + at_, count);
    at_ += count;
    return count;
  }
  uint64_t consumed() const override { return bytes_->consumed(); }

 private:
  std::unique_ptr<ByteStream> bytes_;
  std::string first_;
  size_t at_ = 0;
};

std::unique_ptr<ByteStream> decompressed(const std::filesystem::path& path) {
  const std::filesystem::path archive = zip_of(path);
  const std::string name = path.string();
  const std::string extension = lower_case(path.extension().string());
  if (archive.empty()) {
    auto file = std::make_unique<GzStream>(path);  // reads plain files as they are
    if (extension == ".zst") return open_zstd(std::move(file), name);
    return file;
  }
  auto member = open_zip_member(archive, path.lexically_relative(archive).string());
  if (extension == ".gz") return std::make_unique<Inflated>(std::move(member), name);
  if (extension == ".zst") return open_zstd(std::move(member), name);
  return member;
}

/// As many bytes as tell what a file is; fewer only at the end.
std::string take_first(ByteStream& bytes) {
  std::string first(kBytesThatTell, '\0');
  size_t length = 0;
  while (length < first.size()) {
    const size_t count = bytes.read(first.data() + length, first.size() - length);
    if (count == 0) break;
    length += count;
  }
  first.resize(length);
  return first;
}

/// Without what the bytes are packed in, whatever their name says: gzip in gzip, zstd. `first`: those taken so far.
std::unique_ptr<ByteStream> unpacked(std::unique_ptr<ByteStream> bytes, std::string& first, const std::string& name) {
  constexpr int kMostLayers = 4;
  for (int layer = 0;; ++layer) {
    first = take_first(*bytes);
    const Packing packing = packing_of(first);
    if (packing == Packing::kNone) return bytes;
    if (layer == kMostLayers) throw DataError(name + ": packed again and again; unpack it");
    bytes = std::make_unique<Rejoined>(std::move(bytes), std::move(first));
    bytes = packing == Packing::kGzip ? std::make_unique<Inflated>(std::move(bytes), name)
                                      : open_zstd(std::move(bytes), name);
  }
}

}  // namespace

std::unique_ptr<ByteStream> open_bytes(const std::filesystem::path& path, const std::string& encoding) {
  std::string first;
  auto bytes = unpacked(decompressed(path), first, path.string());
  refuse_what_is_no_text(first, path);
  if (first.starts_with("\xEF\xBB\xBF")) {
    first.erase(0, 3);
    return std::make_unique<Rejoined>(std::move(bytes), std::move(first));
  }
  constexpr std::string_view kLittle("\xFF\xFE\0\0", 4), kBig("\0\0\xFE\xFF", 4);
  if (first.starts_with(kLittle) || first.starts_with(kBig)) {
    const bool little = first[0] == '\xFF';
    first.erase(0, 4);
    return recode(std::move(bytes), first, little ? "UTF-32LE" : "UTF-32BE", path.string());
  }
  if (first.starts_with("\xFF\xFE") || first.starts_with("\xFE\xFF")) {
    const bool little = first[0] == '\xFF';
    first.erase(0, 2);
    return recode(std::move(bytes), first, little ? "UTF-16LE" : "UTF-16BE", path.string());
  }
  if (!encoding.empty()) return recode(std::move(bytes), first, encoding, path.string());
  return std::make_unique<Rejoined>(std::move(bytes), std::move(first));
}

}  // namespace cllm
