// The parts of a zip archive that reading its members needs (APPNOTE.TXT 6.3, ZIP64 included): the central directory,
// and members that are stored or deflated.

#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <utility>

#include "data/errors.h"
#include "data/ingest/files/byte_stream.h"
#include "data/ingest/files/input_files.h"

namespace cllm {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void damaged(const fs::path& archive) {
  throw DataError(archive.string() + ": a damaged or unknown zip archive; unpack it, or download it again");
}

/// Little-endian numbers of a block, each within it.
class Fields {
 public:
  Fields(std::string_view bytes, const fs::path& archive) : bytes_(bytes), archive_(archive) {}
  template <typename T>
  T at(size_t offset) const {
    if (offset > bytes_.size() || bytes_.size() - offset < sizeof(T)) damaged(archive_);
    T value;
    std::memcpy(&value, bytes_.data() + offset, sizeof(T));
    return value;
  }
  std::string_view bytes(size_t offset, size_t length) const {
    if (offset > bytes_.size() || bytes_.size() - offset < length) damaged(archive_);
    return bytes_.substr(offset, length);
  }

 private:
  std::string_view bytes_;
  const fs::path& archive_;
};

std::string read_block(std::ifstream& in, uint64_t offset, uint64_t length, const fs::path& archive) {
  constexpr uint64_t kMost = uint64_t{256} << 20;
  if (length > kMost) damaged(archive);
  std::string block(length, '\0');
  in.clear();
  in.seekg(static_cast<std::streamoff>(offset));
  if (!in.read(block.data(), static_cast<std::streamsize>(length))) damaged(archive);
  return block;
}

struct Directory {
  uint64_t offset = 0, bytes = 0;
};

/// From the end records: the last 64 KiB hold them.
Directory find_directory(std::ifstream& in, uint64_t file_bytes, const fs::path& archive) {
  constexpr uint64_t kTail = 65535 + 22 + 20;
  const uint64_t start = file_bytes - std::min(file_bytes, kTail);
  const std::string tail = read_block(in, start, file_bytes - start, archive);
  const size_t end = tail.rfind("PK\x05\x06");
  constexpr size_t kRecord = 22;
  if (end == std::string::npos || tail.size() - end < kRecord) damaged(archive);
  const Fields record(std::string_view(tail).substr(end), archive);
  Directory directory{record.at<uint32_t>(16), record.at<uint32_t>(12)};
  if (end >= 20 && tail.compare(end - 20, 4, "PK\x06\x07") == 0) {  // ZIP64
    const uint64_t offset = Fields(std::string_view(tail).substr(end - 20), archive).at<uint64_t>(8);
    if (offset > file_bytes || file_bytes - offset < 56) damaged(archive);
    const std::string block = read_block(in, offset, 56, archive);
    const Fields record64(block, archive);
    directory = {record64.at<uint64_t>(48), record64.at<uint64_t>(40)};
  }
  if (directory.offset > file_bytes || file_bytes - directory.offset < directory.bytes) damaged(archive);
  return directory;
}

/// Sizes beyond 32 bits stand in the extra field 1, in this order, those that are all ones only.
void read_zip64(std::string_view extra, ZipMember& member, const fs::path& archive) {
  const Fields fields(extra, archive);
  for (size_t at = 0; at + 4 <= extra.size();) {
    const auto id = fields.at<uint16_t>(at), length = fields.at<uint16_t>(at + 2);
    size_t from = at + 4;
    if (id == 1) {
      for (uint64_t* value : {&member.size, &member.compressed, &member.offset}) {
        if (*value != 0xFFFFFFFF) continue;
        *value = fields.at<uint64_t>(from);
        from += 8;
      }
    }
    at += 4 + size_t{length};
  }
}

/// The bytes of one member; sizes come from the central directory.
class MemberStream : public ByteStream {
 public:
  MemberStream(const fs::path& archive, const ZipMember& member)
      : archive_(archive), name_((archive / member.name).string()), in_(archive, std::ios::binary), member_(member) {
    constexpr uint64_t kHeader = 30;
    const std::string header = read_block(in_, member.offset, kHeader, archive_);
    if (header.compare(0, 4, "PK\x03\x04") != 0) damaged(archive_);
    const Fields fields(header, archive_);
    if ((fields.at<uint16_t>(6) & 1) != 0) throw DataError(name_ + ": encrypted; unpack the archive");
    if (member.method != 0 && member.method != 8)
      throw DataError(name_ + ": packed by method " + std::to_string(member.method) + "; unpack the archive");
    in_.seekg(static_cast<std::streamoff>(member.offset + kHeader + fields.at<uint16_t>(26) + fields.at<uint16_t>(28)));
    left_ = member.compressed;
    if (member.method == 8 && inflateInit2(&state_, -MAX_WBITS) != Z_OK)
      throw DataError(name_ + ": zlib cannot be started");
  }
  ~MemberStream() override { inflateEnd(&state_); }

  size_t read(char* data, size_t bytes) override {
    if (member_.method == 0) return take(data, bytes);
    state_.next_out = reinterpret_cast<Bytef*>(data);
    const uInt wanted = state_.avail_out = static_cast<uInt>(std::min<size_t>(bytes, size_t{1} << 20));
    while (state_.avail_out == wanted && !done_) {
      if (state_.avail_in == 0) {
        state_.next_in = reinterpret_cast<Bytef*>(buffer_.data());
        state_.avail_in = static_cast<uInt>(take(buffer_.data(), buffer_.size()));
      }
      const int result = inflate(&state_, Z_NO_FLUSH);  // without input it hands out what it holds back
      if (result == Z_BUF_ERROR) throw DataError(name_ + ": cannot read: the archive is truncated");
      if (result != Z_OK && result != Z_STREAM_END) throw DataError(name_ + ": cannot read: damaged data");
      done_ = result == Z_STREAM_END;
    }
    return wanted - state_.avail_out;
  }
  uint64_t consumed() const override { return member_.compressed - left_; }

 private:
  size_t take(char* data, size_t bytes) {
    const auto count = std::min<uint64_t>(bytes, left_);
    if (count > 0 && !in_.read(data, static_cast<std::streamsize>(count)))
      throw DataError(name_ + ": cannot read: the archive is truncated");
    left_ -= count;
    return count;
  }

  fs::path archive_;
  std::string name_;
  std::ifstream in_;
  ZipMember member_;
  std::string buffer_ = std::string(1 << 16, '\0');
  uint64_t left_ = 0;
  z_stream state_{};
  bool done_ = false;
};

}  // namespace

std::vector<ZipMember> zip_members(const fs::path& archive) {
  std::ifstream in(archive, std::ios::binary);
  if (!in) throw DataError(archive.string() + ": cannot open");
  const Directory directory = find_directory(in, fs::file_size(archive), archive);
  const std::string block = read_block(in, directory.offset, directory.bytes, archive);
  const Fields fields(block, archive);
  std::vector<ZipMember> members;
  for (size_t at = 0; at < block.size();) {
    constexpr size_t kEntry = 46;
    if (fields.bytes(at, 4) != "PK\x01\x02") damaged(archive);
    const auto name_bytes = fields.at<uint16_t>(at + 28), extra_bytes = fields.at<uint16_t>(at + 30),
               comment_bytes = fields.at<uint16_t>(at + 32);
    ZipMember member{std::string(fields.bytes(at + kEntry, name_bytes)), fields.at<uint32_t>(at + 42),
                     fields.at<uint32_t>(at + 20), fields.at<uint32_t>(at + 24), fields.at<uint16_t>(at + 10)};
    for (char& c : member.name) {
      if (c != '\0' && static_cast<unsigned char>(c) < 0x20) c = '?';  // nothing that is read has such a name
    }
    read_zip64(fields.bytes(at + kEntry + name_bytes, extra_bytes), member, archive);
    if (!member.name.empty() && member.name.find('\0') == std::string::npos) members.push_back(std::move(member));
    at += kEntry + size_t{name_bytes} + extra_bytes + comment_bytes;
  }
  return members;
}

std::unique_ptr<ByteStream> open_zip_member(const fs::path& archive, const std::string& member) {
  for (const ZipMember& found : zip_members(archive)) {
    if (found.name == member) return std::make_unique<MemberStream>(archive, found);
  }
  throw DataError((archive / member).string() + ": no such member of the archive");
}

}  // namespace cllm
