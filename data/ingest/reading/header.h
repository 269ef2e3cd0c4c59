#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "data/ingest/values/columns.h"

namespace cllm {

/// The wanted columns of a table.
struct TableSpec {
  std::vector<Column> columns;
  /// Without a header: interactions (user and item are columns 0 and 1 of `columns`, time and rating may be behind
  /// them) are told by their values; else columns come in the wanted order, and trailing optional ones may be missing.
  bool by_values = false;
  bool others = false;  // hand out the texts of other columns, too

  size_t num_required() const {
    return static_cast<size_t>(std::ranges::count_if(columns, [](const Column& column) { return column.required; }));
  }
};

/// The first rows of a table as cells; cut short of the file's end if it is long.
using Sample = std::vector<std::vector<std::string>>;
inline constexpr size_t kSampleRows = 1000;

struct OtherColumn {
  std::string name;
  size_t place = 0;
};

/// Where the columns of a file are.
struct Placement {
  bool has_header = false;
  std::vector<std::optional<size_t>> places;  // per wanted column
  std::vector<OtherColumn> others;            // what else holds texts
  std::vector<std::string> unused;            // names of the rest
  std::string reading;                        // of a file without a header, for a person: "user, item, rating"
};

/// Reads the first row of a table as a header, or recognises a table that has none. DataError (`where` names the file):
/// a header without a wanted column, says which and what is there; columns that cannot be told apart, says the option
/// that settles it.
/// `has_names`: the first row is a header for certain.
Placement place_columns(const Sample& sample, const TableSpec& spec, const ColumnChoices& choices,
                        const std::string& where, bool has_names = false);

/// Do the values read as texts of people: words, no numbers, dates, addresses, flags, in a column that is not named as
/// ids or as the parts of a split?
bool holds_texts(std::string_view name, const std::vector<std::string_view>& values);

/// Is one value a text: letters, no number, date, address, flag?
bool reads_as_text(std::string_view value);

/// "header without a column 'item' (it has user_id, sku); ..."
/// `choices`: a missing one may be the name that somebody chose.
std::string missing_column(const std::vector<std::string>& missing, const std::vector<std::string>& there,
                           const ColumnChoices& choices = {});

/// The first row, for a message.
std::string first_of(const Sample& sample);

/// Tables without a header whose rows are interactions. `places` as in Placement; `reading` is set.
void place_by_values(const Sample& sample, const TableSpec& spec, const ColumnChoices& choices,
                     const std::string& where, Placement& placement);

}  // namespace cllm
