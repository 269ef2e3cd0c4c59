#pragma once

#include <filesystem>

#include "data/ingest/reading/header.h"
#include "data/ingest/reading/problems.h"
#include "data/ingest/reading/record_reader.h"

namespace cllm {

/// How a file is read: as wanted, but without recoding what is UTF-8 as it is and not only ASCII, which is noted.
ReadingOptions reading_of(const std::filesystem::path& path, const ReadingOptions& wanted, ProblemLog& log);

/// The first rows of a file.
Sample read_sample(const std::filesystem::path& path, const ReadingOptions& options, size_t min_columns);

}  // namespace cllm
