#pragma once

#include "data/ingest/filter.h"
#include "data/ingest/split.h"
#include "data/ingest/storage/text_spool.h"

namespace cllm {

/// Reads the texts of the source and keeps those whose user and item are in the corpus, except the texts of held-out
/// pairs. New kinds are appended to kinds. Bad rows go to the log.
void collect_texts(Source& source, const InternalIds& ids, RecordFile<PackedPair>& held_out, IngestFolder& work,
                   std::vector<std::string>& kinds, TextSpool& spool);

}  // namespace cllm
