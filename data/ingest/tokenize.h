#pragma once

#include <cstdint>
#include <filesystem>

#include "data/corpus/manifest.h"
#include "data/ingest/prepare.h"
#include "data/ingest/storage/text_spool.h"
#include "data/text/tokenizer.h"

namespace cllm {

struct TokenizeOptions {
  std::filesystem::path folder;     // of the corpus that is written
  std::filesystem::path tokenizer;  // a folder with Hugging Face files; empty: train one
  int64_t train_tokenizer = 0;      // of this size
  int64_t max_text_tokens = 0;      // longer texts are cut
  uint64_t shard_bytes = 0;
  int threads = 0;  // 0: all cores
  Progress progress;
};

/// Makes the tokenizer, puts it into the corpus, tokenises the texts in several threads (the result does not depend on
/// their number), writes the text shards and enters all of it into the manifest. Returns how many texts were cut.
/// DataError if a tokenizer is to be trained and there is no text.
uint64_t tokenize(TextStream& texts, const TokenizeOptions& options, CorpusManifest& manifest);

}  // namespace cllm
