#include "data/ingest/storage/text_spool.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace cllm {
namespace {

constexpr size_t kSpoolBuffer = size_t{1} << 20;  // bytes

}  // namespace

void TextSpool::add(const TextEntry& entry) {
  const Header header{entry.user, entry.item, entry.kind, static_cast<uint32_t>(entry.text.size())};
  const char* bytes = reinterpret_cast<const char*>(&header);
  buffer_.insert(buffer_.end(), bytes, bytes + sizeof header);
  buffer_.insert(buffer_.end(), entry.text.begin(), entry.text.end());
  ++count_;
  if (buffer_.size() < kSpoolBuffer) return;
  file_.append(buffer_.data(), buffer_.size());
  buffer_.clear();
}

void TextSpool::rewind() {
  if (next_ == 0 && at_ == 0) file_.append(buffer_.data(), buffer_.size());
  buffer_.clear();
  used_ = 0;
  at_ = 0;
  next_ = 0;
}

bool TextSpool::next(TextEntry& entry) {
  while (next_ < count_) {
    Header header;
    read(&header, sizeof header);
    entry.user = header.user;
    entry.item = header.item;
    entry.kind = header.kind;
    entry.text.resize(header.bytes);
    read(entry.text.data(), header.bytes);
    const uint64_t number = next_++;
    if (left_out_.empty() || !left_out_[number]) return true;
  }
  return false;
}

void TextSpool::leave_out(std::vector<bool> numbers) {
  left_out_ = std::move(numbers);
  num_left_out_ = static_cast<uint64_t>(std::count(left_out_.begin(), left_out_.end(), true));
}

void TextSpool::read(void* data, size_t bytes) {
  auto* to = static_cast<char*>(data);
  while (bytes > 0) {
    if (used_ == buffer_.size()) {
      buffer_.resize(std::min<uint64_t>(kSpoolBuffer, file_.size() - at_));
      file_.read(buffer_.data(), buffer_.size(), at_);
      at_ += buffer_.size();
      used_ = 0;
    }
    const size_t count = std::min(bytes, buffer_.size() - used_);
    std::memcpy(to, buffer_.data() + used_, count);
    to += count;
    used_ += count;
    bytes -= count;
  }
}

}  // namespace cllm
