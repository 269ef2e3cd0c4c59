#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/ingest/reading/record_reader.h"

namespace cllm {

/// What separates the fields of a table of text, by its first lines: what the extension says if all lines have it, else
/// what gives them the same number of fields, and the most. `min_columns`: as many are needed.
std::string separator_of(const std::vector<std::string_view>& lines, const FileKind& kind, size_t min_columns);

/// "tab", "comma", "semicolon", "pipe", "blanks", "ctrl-a" or the characters: of --separator.
std::string separator_named(const std::string& option);
/// For messages.
std::string name_of_separator(const std::string& separator);

/// Does every field of the line stand in quotes, as R and pandas write a header?
bool is_all_quoted(std::string_view line, std::string_view separator);

/// What a line says that is a comment above a table: behind `# `, `% `, `// `, `;; ` or `-- `; empty: a rule (`-----`).
std::optional<std::string_view> comment_in(std::string_view line);
/// How many lines stand above a row of names (of 10 that are looked at): titles, of another number of fields or one
/// field alone. 0: the first is that row, or none is.
size_t lines_above_names(const std::vector<std::string_view>& lines);

/// A comment that is a header: as many fields as `row`, and names of columns among them.
bool names_the_fields_of(std::string_view comment, std::string_view row);

/// Is the first line of a table an object of JSON? DataError: it begins an array or an object over several lines, or is
/// a tuple of Python.
bool is_object(std::string_view line, const std::filesystem::path& path);

/// Of lines that are one field: "; if '^' separates fields: --separator '^'", or nothing.
std::string hint_of_separator(const std::vector<std::vector<std::string>>& sample);

}  // namespace cllm
