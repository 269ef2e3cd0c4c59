#pragma once

#include <cstdint>
#include <filesystem>

#include "data/ingest/prepare.h"

namespace cllm {

struct RetokenizeOptions {
  std::filesystem::path corpus;  // of version 2
  std::filesystem::path output;  // must not exist unless overwrite; may then be the corpus itself
  bool overwrite = false;
  std::filesystem::path tokenizer;  // a folder with Hugging Face files; or
  int64_t train_tokenizer = 0;      // train one of this size on the texts of the corpus
  int threads = 0;                  // 0: all cores
  Progress progress;
};

/// A corpus with the users, items and histories of another and its raw texts as tokens of another tokenizer: the bytes
/// that prepare() would have written with that tokenizer. Checksums are verified first. The new corpus appears by one
/// rename at the end. Memory: one shard and a batch of texts. DataError: version 1, damage, or output exists.
struct RetokenizeReport {
  int64_t num_texts = 0, num_text_tokens = 0, num_words = 0;
  uint64_t cut_texts = 0;
};
RetokenizeReport retokenize(const RetokenizeOptions& options);

}  // namespace cllm
