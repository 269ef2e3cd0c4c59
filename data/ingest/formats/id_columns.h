#pragma once

#include "data/ingest/reading/table_reader.h"

namespace cllm {

// A file may have several columns of ids: which of them joins it to the interactions.

/// With the name of the interactions' file before all others.
Column called(Column column, const std::string& name);

/// Is one of the names a name of the role?
bool names_a(Role role, const std::vector<std::string>& names);

/// A hint with the column of a list of users or of items that has the ids of the interactions, where that which is read
/// has none of them. `used`: the reader of the list; `at`: its column.
void tell_of_column_with_ids(const std::filesystem::path& list, const TableReader& used, size_t at, Role role,
                             const std::filesystem::path& interactions, const std::string& name_there,
                             const ReadingOptions& reading, ProblemLog& log);

/// A note and a hint with the option that chooses, where a table has further columns by names of the role, and the one
/// that is used has not the name of the interactions, which called() put first.
void tell_of_other_ids(const TableReader& rows, size_t at, const Column& column, Role role, ProblemLog& log);

/// The choices of --columns for the file of interactions: without those that it has not, but another file has.
ColumnChoices choices_for_interactions(const std::filesystem::path& interactions,
                                       const std::vector<std::filesystem::path>& others, const ColumnChoices& choices,
                                       const ReadingOptions& reading);

}  // namespace cllm
