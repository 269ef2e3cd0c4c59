#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace cllm {

/// The place of a cell's text in a list of the file (Parquet's dictionaries): cells of equal codes have equal texts,
/// without blanks around.
struct CellCode {
  uint64_t list = 0;               // no two of a process have the same number; 0: the cell has no code
  uint32_t place = 0, length = 0;  // of the list
};

/// What a file says of a cell besides its text.
struct CellFacts {
  CellCode code;
  std::optional<int64_t> whole;             // the number that the text is
  std::span<const std::string_view> ahead;  // texts of this row and those to come, where they have just been read
};

/// What a column is read for: nothing, one value per row, a text, which may be the elements of a list, or a text if
/// the column's type is one.
enum class ColumnUse : uint8_t { kNone, kValue, kText, kTextIfAny };

/// Rows of a file that is stored by columns, as text.
class ColumnarRows {
 public:
  virtual ~ColumnarRows() = default;
  virtual const std::vector<std::string>& names() const = 0;
  /// Which of names() are read, and for what; without it all are. Before next(), which then refuses (DataError) columns
  /// of a type that is not read, and lists where one value is wanted.
  virtual void select(const std::vector<ColumnUse>& columns) = 0;
  /// DataError, with what makes a row per element, if a column of names() holds lists.
  virtual void refuse_list(size_t column) const = 0;
  /// Puts the next row into `cells`, which are valid until the next call, and what else is known into `facts`. Numbers
  /// as written, points in time as seconds since 1970, elements of lists joined with ", ", true or false; nothing for
  /// null, NaN, columns that are not selected, and types that are not read (structs, times of day, ...). False at the
  /// end. DataError: damaged.
  virtual bool next(std::vector<std::string_view>& cells, std::vector<CellFacts>& facts) = 0;
  virtual const std::string_view* not_utf8() const = 0;  // a cell of the row that is not UTF-8; null: none
  /// Bytes read so far, about.
  virtual uint64_t consumed() const = 0;
};

/// A Parquet file or a folder of parts, one after the other; folders named key=value are columns, too. A few MiB per
/// column are in memory, whatever the size of row groups. DataError: none, damaged, parts with other columns, or a
/// build without Arrow.
std::unique_ptr<ColumnarRows> open_parquet(const std::filesystem::path& path);

/// What the plug-in cllm4rec_parquet.so (arrow_*.cpp), which alone is linked to Arrow, gives under the name
/// CLLM_OPEN_PARQUET_PARTS, which changes with this file: the rows of the parts (at least one) of `place`; the caller
/// deletes them.
using OpenParquetParts = ColumnarRows*(const std::filesystem::path& place,
                                       const std::vector<std::filesystem::path>& parts);

}  // namespace cllm
