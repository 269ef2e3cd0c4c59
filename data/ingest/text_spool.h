#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/ingest/spill.h"

namespace cllm {

/// Texts that enter the corpus, before they are tokenised: on disk, in the order of the input.
class TextSpool {
 public:
  struct Entry {
    int32_t user, item, kind;
    std::string text;
  };

  explicit TextSpool(const std::filesystem::path& dir) : file_(dir) {}
  void add(const Entry& entry);
  /// Starts over; then next() until it is false. No add() after this.
  void rewind();
  bool next(Entry& entry);
  uint64_t size() const { return count_; }

 private:
  struct Header {
    int32_t user, item, kind;
    uint32_t bytes;
  };
  void read(void* data, size_t bytes);

  SpillFile file_;
  std::vector<char> buffer_;
  size_t used_ = 0;
  uint64_t at_ = 0, count_ = 0, next_ = 0;
};

}  // namespace cllm
