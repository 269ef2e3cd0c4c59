#pragma once

#include "data/corpus/manifest.h"
#include "data/ingest/filter.h"
#include "data/ingest/split.h"
#include "data/text/tokenizer.h"

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

/// Reads the texts of the source and keeps those whose user and item are in the corpus, except the texts of held-out pairs.
/// New kinds are appended to kinds. Bad rows go to the log.
void collect_texts(Source& source, const InternalIds& ids, RecordFile<PackedPair>& held_out, Workspace& work,
                   std::vector<std::string>& kinds, TextSpool& spool);

/// Tokenises the spool in several threads (the result does not depend on their number) and writes the text shards.
void write_texts(TextSpool& spool, const Tokenizer& tokenizer, Workspace& work, Manifest& manifest);

}  // namespace cllm
