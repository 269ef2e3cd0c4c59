#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "data/corpus/manifest.h"
#include "data/ingest/interactions.h"
#include "data/ingest/storage/text_spool.h"

namespace cllm {

/// The corpus that a new one begins with.
struct Predecessor {
  Corpus corpus;
  CorpusManifest manifest;
};

/// Opens options.extend, if it is set, verifies its checksums, and sets the options that it decides. DataError: damage,
/// format version 1, another tokenizer than its own, or a split by a file that is not named again.
std::optional<Predecessor> open_predecessor(PrepareOptions& options);

/// Numbers its ids before all others, in the order of their input, and enters what the manifest has of it.
void begin_with(const Predecessor& before, IngestFolder& work, CorpusManifest& manifest);

/// Hands out its interactions: with their parts, in time order by `line`, and counts them as rows. Times are whole.
void for_each_old_pair(IngestFolder& work, const std::function<void(const Pair&)>& add);

/// Its texts come first, and are known. Memory: 8 bytes a text; DataError if that is more than an eighth of the limit.
void add_old_texts(const Predecessor& before, IngestFolder& work, TextSpool& spool);

/// By which a text that comes again is told.
uint64_t hash_of(const TextEntry& text);

/// Where the tokenizer came from is told as it was.
void keep_origin(const Predecessor& before, nlohmann::ordered_json& options);

}  // namespace cllm
