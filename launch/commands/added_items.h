#pragma once

#include <filesystem>
#include <string>

#include "data/ingest/source.h"

namespace cllm {

/// Writes to `output`, in place of what is there, the corpus and behind it the items of a table that it has not: an
/// item and its texts, as an items file of prepare has them, read as `source` says (columns, encoding). A line for a
/// person. ConfigError: no such file, or nothing in it is new; DataError as of prepare. Local.
std::string write_grown_corpus(const std::filesystem::path& corpus, const std::filesystem::path& items,
                               const std::filesystem::path& output, const SourceOptions& source);

}  // namespace cllm
