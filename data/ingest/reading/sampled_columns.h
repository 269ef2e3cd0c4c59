#pragma once

#include <string>
#include <vector>

#include "data/ingest/reading/columns.h"
#include "data/ingest/reading/header.h"

namespace cllm {

/// A column of a table, and what its first rows have there.
struct SampledColumn {
  std::string name;
  std::vector<std::string> values;
};

/// Those that the first row names; of JSON (rows of one cell), by key, values as texts.
std::vector<SampledColumn> columns_of(const Sample& sample, bool json);

/// Is none of the values there?
bool all_empty(const std::vector<std::string>& values);

/// Where the first rows have nothing in a column that need not be there, another of its names may have what is wanted.
void prefer_filled(const Sample& sample, const std::vector<Column>& wanted, const ColumnChoices& choices,
                   Placement& placement);

}  // namespace cllm
