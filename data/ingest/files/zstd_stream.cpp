#include <zstd.h>

#include <utility>

#include "data/errors.h"
#include "data/ingest/files/byte_stream.h"

namespace cllm {
namespace {

class Zstd : public ByteStream {
 public:
  Zstd(std::unique_ptr<ByteStream> bytes, std::string name)
      : bytes_(std::move(bytes)), name_(std::move(name)), state_(ZSTD_createDStream()) {
    if (state_ == nullptr) throw DataError(name_ + ": zstd cannot be started");
    constexpr int kWindowLog = 27;  // 128 MiB, what the command line tool reads without an option
    ZSTD_DCtx_setParameter(state_.get(), ZSTD_d_windowLogMax, kWindowLog);
  }
  size_t read(char* data, size_t bytes) override {
    ZSTD_outBuffer out{data, bytes, 0};
    while (out.pos == 0) {
      if (in_.pos == in_.size) {
        in_ = {buffer_.data(), bytes_->read(buffer_.data(), buffer_.size()), 0};
        if (in_.size == 0) {
          if (inside_frame_) throw DataError(name_ + ": cannot read: the file is truncated");
          return 0;
        }
      }
      const size_t result = ZSTD_decompressStream(state_.get(), &out, &in_);
      if (ZSTD_isError(result)) throw DataError(name_ + ": cannot read: " + ZSTD_getErrorName(result));
      inside_frame_ = result != 0;
    }
    return out.pos;
  }
  uint64_t consumed() const override { return bytes_->consumed(); }

 private:
  struct Free {
    void operator()(ZSTD_DStream* state) const { ZSTD_freeDStream(state); }
  };
  std::unique_ptr<ByteStream> bytes_;
  std::string name_, buffer_ = std::string(1 << 17, '\0');
  std::unique_ptr<ZSTD_DStream, Free> state_;
  ZSTD_inBuffer in_{nullptr, 0, 0};
  bool inside_frame_ = true;  // an empty file is no zstd file
};

}  // namespace

std::unique_ptr<ByteStream> open_zstd(std::unique_ptr<ByteStream> compressed, const std::string& name) {
  return std::make_unique<Zstd>(std::move(compressed), name);
}

}  // namespace cllm
