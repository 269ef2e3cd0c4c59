#include <iconv.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "data/errors.h"
#include "data/ingest/files/byte_stream.h"

namespace cllm {
namespace {

/// Names that people and Python use, and iconv does not. Latin-1 is read as windows-1252, as browsers do: its control
/// characters stand in no text, and what has quotes and dashes there is called Latin-1 all the same.
std::string iconv_name(std::string name) {
  std::transform(name.begin(), name.end(), name.begin(), [](char c) {
    return c == '_' ? '-' : c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  });
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 10> kOthers = {
      {{"latin-1", "CP1252"},
       {"latin1", "CP1252"},
       {"l1", "CP1252"},
       {"iso-8859-1", "CP1252"},
       {"iso8859-1", "CP1252"},
       {"utf-8-sig", "UTF-8"},
       {"shift-jis", "SHIFT_JIS"},
       {"utf-16", "UTF-16LE"},  // without a mark it is what Windows writes
       {"ansi", "CP1252"},
       {"mbcs", "CP1252"}}};
  for (const auto& [other, known] : kOthers) {
    if (name == other) return std::string(known);
  }
  return name;
}

class Recoded : public ByteStream {
 public:
  Recoded(std::unique_ptr<ByteStream> bytes, std::string first, const std::string& encoding, const std::string& name)
      : bytes_(std::move(bytes)), in_(std::move(first)), converter_(iconv_open("UTF-8", iconv_name(encoding).c_str())) {
    if (converter_ == reinterpret_cast<iconv_t>(-1)) {  // NOLINT(performance-no-int-to-ptr): as POSIX says it
      throw DataError(name + ": unknown encoding '" + encoding + "'; `iconv --list` shows those that are known");
    }
  }
  ~Recoded() override { iconv_close(converter_); }

  size_t read(char* data, size_t bytes) override {
    const size_t wanted = bytes;
    while (bytes == wanted) {
      if (!left_over_.empty()) return hand_out(data, bytes);
      if (needs_more_ && !fill()) {
        if (in_.empty()) return 0;
        in_.erase(0, 1);  // half a character at the end
        left_over_ = "\xFF";
        continue;
      }
      char* from = in_.data();
      size_t from_left = in_.size();
      const size_t result = iconv(converter_, &from, &from_left, &data, &bytes);
      const int error = result == static_cast<size_t>(-1) ? errno : 0;
      in_.erase(0, in_.size() - from_left);
      if (error == E2BIG && bytes == wanted) split_character();  // no room for even one
      if (error == EILSEQ) {
        in_.erase(0, 1);
        left_over_ = "\xFF";
        if (bytes != wanted) break;
      }
      needs_more_ = error == EINVAL || in_.empty();
    }
    return wanted - bytes;
  }
  uint64_t consumed() const override { return bytes_->consumed(); }

 private:
  bool fill() {
    constexpr size_t kBlock = 1 << 16;
    const size_t before = in_.size();
    in_.resize(before + kBlock);
    const size_t count = bytes_->read(in_.data() + before, kBlock);
    in_.resize(before + count);
    needs_more_ = false;
    return count > 0;
  }
  size_t hand_out(char* data, size_t bytes) {
    const size_t count = std::min(bytes, left_over_.size());
    std::memcpy(data, left_over_.data(), count);
    left_over_.erase(0, count);
    return count;
  }
  void split_character() {
    std::string character(8, '\0');
    char* from = in_.data();
    char* to = character.data();
    size_t from_left = in_.size(), to_left = character.size();
    iconv(converter_, &from, &from_left, &to, &to_left);
    in_.erase(0, in_.size() - from_left);
    character.resize(character.size() - to_left);
    left_over_ = character;
  }

  std::unique_ptr<ByteStream> bytes_;
  std::string in_, left_over_;
  iconv_t converter_;
  bool needs_more_ = in_.empty();
};

}  // namespace

std::unique_ptr<ByteStream> recode(std::unique_ptr<ByteStream> bytes, std::string first, const std::string& encoding,
                                   const std::string& name) {
  return std::make_unique<Recoded>(std::move(bytes), std::move(first), encoding, name);
}

}  // namespace cllm
