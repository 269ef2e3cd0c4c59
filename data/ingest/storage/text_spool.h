#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/ingest/storage/spill.h"

namespace cllm {

/// A text and what it is about: internal ids or -1, index of its kind.
struct TextEntry {
  int32_t user, item, kind;
  std::string text;
};

/// Texts that are to be tokenised, read as often as wanted.
class TextStream {
 public:
  virtual ~TextStream() = default;
  /// Starts over; then next() until it is false.
  virtual void rewind() = 0;
  virtual bool next(TextEntry& entry) = 0;
  virtual uint64_t size() const = 0;
};

/// Texts that enter the corpus, before they are tokenised: on disk, in the order of the input.
class TextSpool : public TextStream {
 public:
  explicit TextSpool(const std::filesystem::path& dir) : file_(dir) {}
  void add(const TextEntry& entry);
  void rewind() override;  // no add() after this
  bool next(TextEntry& entry) override;
  uint64_t size() const override { return count_ - num_left_out_; }
  /// Texts by their numbers in the order of add(), which next() no more hands out.
  void leave_out(std::vector<bool> numbers);

 private:
  struct Header {
    int32_t user, item, kind;
    uint32_t bytes;
  };
  void read(void* data, size_t bytes);

  SpillFile file_;
  std::vector<char> buffer_;
  size_t used_ = 0;
  uint64_t at_ = 0, count_ = 0, next_ = 0, num_left_out_ = 0;
  std::vector<bool> left_out_;
};

}  // namespace cllm
