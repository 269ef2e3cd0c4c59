#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace cllm {

/// Rows of a file that is stored by columns, as text.
class ColumnarRows {
 public:
  virtual ~ColumnarRows() = default;
  virtual const std::vector<std::string>& names() const = 0;
  /// Puts the cells of the next row one behind the other into `row`, a tab behind each; `ends`: of the cells, without
  /// the tab. Numbers as written, points in time as seconds since 1970, elements of lists joined with ", ", true or
  /// false; nothing for null, NaN and structs. False at the end. DataError: damaged.
  virtual bool next(std::string& row, std::vector<size_t>& ends) = 0;
  /// Bytes read so far, about.
  virtual uint64_t consumed() const = 0;
};

/// A Parquet file or a folder of parts, one after the other; folders named key=value are columns, too. A few MiB per
/// column are in memory, whatever the size of row groups. DataError: none, damaged, parts with other columns, or a
/// build without Arrow.
std::unique_ptr<ColumnarRows> open_parquet(const std::filesystem::path& path);

/// What the plug-in cllm4rec_parquet.so (arrow_*.cpp), which alone is linked to Arrow, gives under this name: the rows
/// of the parts (at least one) of `place`; the caller deletes them.
using OpenParquetParts = ColumnarRows*(const std::filesystem::path& place,
                                       const std::vector<std::filesystem::path>& parts);
inline constexpr const char* kOpenParquetParts = "cllm4rec_open_parquet_parts";

}  // namespace cllm
