#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "data/ingest/reading/header.h"
#include "data/ingest/reading/problems.h"
#include "data/ingest/reading/record_reader.h"
#include "data/ingest/values/columns.h"

namespace cllm {

/// How a file is read: as wanted, but without recoding what is UTF-8 as it is and not only ASCII, which is noted.
ReadingOptions reading_of(const std::filesystem::path& path, const ReadingOptions& wanted, ProblemLog& log);

/// The first rows of a file.
Sample read_sample(const std::filesystem::path& path, const ReadingOptions& options, size_t min_columns);

/// A column of a table, and what its first rows have there.
struct SampledColumn {
  std::string name;
  std::vector<std::string> values;
};

/// Those that the first row names; of JSON (rows of one cell), by key, values as texts.
std::vector<SampledColumn> columns_of(const Sample& sample, bool json);

/// The ids of a column, of JSON (a key's) those that are texts.
std::vector<std::string> ids_of(const Sample& sample, const Placement& placement, size_t column);
std::vector<std::string> ids_of(const Sample& objects, const std::string& key);

/// What the header of a file names, or the keys of its first objects. Of a file without a header: its first row.
std::vector<std::string> names_in(const std::filesystem::path& path, const ReadingOptions& options);

/// Is the first row what pandas writes above columns without names, 0,1,2, and no row of data: are there only times, or
/// no numbers at all, below one of them?
bool has_numbered_columns(const Sample& sample);

/// Is none of the values there?
bool all_empty(const std::vector<std::string>& values);

/// Where the first rows have nothing in a column that need not be there, another of its names may have what is wanted.
void prefer_filled(const std::vector<SampledColumn>& columns, const std::vector<Column>& wanted,
                   const ColumnChoices& choices, Placement& placement);

}  // namespace cllm
