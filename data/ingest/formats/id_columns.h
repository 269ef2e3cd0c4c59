#pragma once

#include "data/ingest/reading/table_reader.h"

namespace cllm {

// A file may have several columns of ids: which of them joins it to the interactions.

/// With the name of the interactions' file before all others.
Column called(Column column, const std::string& name);

/// A note and a hint with the option that chooses, where a table has further columns by names of the role, and the one
/// that is used has not the name of the interactions, which called() put first.
void tell_of_other_ids(const TableReader& rows, size_t at, const Column& column, Role role, ProblemLog& log);

/// The choices of --columns for the file of interactions: without those that it has not, but another file has.
ColumnChoices choices_for_interactions(const std::filesystem::path& interactions,
                                       const std::vector<std::filesystem::path>& others, const ColumnChoices& choices,
                                       const ReadingOptions& reading);

}  // namespace cllm
