#pragma once

#include <parquet/arrow/reader.h>
#include <parquet/arrow/schema.h>
#include <parquet/file_reader.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data/ingest/reading/columnar_rows.h"

namespace cllm {

/// A column of one number or string per row, page by page: strings are not copied.
class FlatColumn {
 public:
  virtual ~FlatColumn() = default;
  virtual void open(parquet::RowGroupReader& group) = 0;
  /// The next row of the group: its text, valid until the next call; empty for null. parquet::ParquetException:
  /// damaged.
  virtual std::string_view next() = 0;

  // Of that row:
  CellFacts facts;
  bool is_utf8 = true;
};

/// Null if the column is of another kind (times, decimals, lists, ...).
std::unique_ptr<FlatColumn> flat_column(const parquet::arrow::SchemaField& field,
                                        const parquet::SchemaDescriptor& schema);

/// The columns of the file below a field.
void add_leaves(const parquet::arrow::SchemaField& field, std::vector<int>& leaves);

/// "'items'", or "['items', 'times']" where other lists are as long as those of this column, by the first rows.
std::string lists_beside(parquet::arrow::FileReader& file, size_t column);

}  // namespace cllm
