#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "data/ingest/values/columns.h"

namespace cllm {

/// DataError with the command of jq that makes a row per pair: where users and items are told inside of objects or of
/// lists of objects ({"user": 1, "items": [{"item": 5}, ...]}, {"user": {"id": 1}, ...}), or keys are ids
/// ({"u1": ["i1", ...], ...}), or all rows are one object, as pandas' to_json writes columns. `lines`: the first of the
/// file. `wanted`: the columns of the table.
void refuse_nested(const std::vector<std::string>& lines, const std::vector<Column>& wanted,
                   const ColumnChoices& choices, const std::filesystem::path& path);

}  // namespace cllm
