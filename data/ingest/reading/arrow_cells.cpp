#include "data/ingest/reading/arrow_cells.h"

#include <arrow/array/array_dict.h>
#include <arrow/type.h>

namespace cllm {
namespace {

template <typename ArrayType>
const ArrayType& as(const arrow::Array& column) {
  return static_cast<const ArrayType&>(column);
}

template <typename Number>
void append_number(Number value, std::string& out) {
  char digits[kLongestNumber];
  out.append(digits, write_number(value, digits));
}

/// Seconds with a fraction.
void append_time(int64_t value, arrow::TimeUnit::type unit, std::string& out) {
  const int decimals = unit == arrow::TimeUnit::SECOND  ? 0
                       : unit == arrow::TimeUnit::MILLI ? 3
                       : unit == arrow::TimeUnit::MICRO ? 6
                                                        : 9;
  uint64_t scale = 1;
  for (int n = 0; n < decimals; ++n) scale *= 10;
  const uint64_t size = value < 0 ? ~static_cast<uint64_t>(value) + 1 : static_cast<uint64_t>(value);
  if (value < 0) out += '-';
  out += std::to_string(size / scale);
  if (size % scale == 0) return;
  const std::string fraction = std::to_string(size % scale);
  out += '.';
  out.append(static_cast<size_t>(decimals) - fraction.size(), '0').append(fraction);
}

template <typename ListType>
void append_elements(const arrow::Array& column, int64_t row, std::string& out, int depth) {
  constexpr int kMaxDepth = 8;
  const auto& list = as<ListType>(column);
  const int64_t begin = list.value_offset(row), end = begin + list.value_length(row);
  bool first = true;
  for (int64_t n = begin; n < end && depth < kMaxDepth; ++n) {
    std::string element;
    append_cell(*list.values(), n, element, depth + 1);
    if (element.empty()) continue;
    if (!first) out += ", ";
    first = false;
    out += element;
  }
}

/// Of a list; null counts as one element, as pandas has it.
int64_t length_of(const arrow::Array& column, int64_t row) {
  if (column.IsNull(row)) return 1;
  switch (column.type_id()) {
    case arrow::Type::LIST: return as<arrow::ListArray>(column).value_length(row);
    case arrow::Type::LARGE_LIST: return as<arrow::LargeListArray>(column).value_length(row);
    default: return as<arrow::FixedSizeListArray>(column).value_length(row);
  }
}

}  // namespace

bool are_as_long(const arrow::Array& a, const arrow::Array& b) {
  if (!is_list(*a.type()) || !is_list(*b.type()) || a.length() != b.length()) return false;
  for (int64_t row = 0; row < a.length(); ++row) {
    if (length_of(a, row) != length_of(b, row)) return false;
  }
  return true;
}

bool is_list(const arrow::DataType& type) {
  using arrow::Type;
  return type.id() == Type::LIST || type.id() == Type::LARGE_LIST || type.id() == Type::FIXED_SIZE_LIST;
}

bool is_read(const arrow::DataType& type) {
  using arrow::Type;
  if (is_list(type)) return is_read(*type.field(0)->type());
  switch (type.id()) {
    case Type::NA:
    case Type::BOOL:
    case Type::INT8:
    case Type::UINT8:
    case Type::INT16:
    case Type::UINT16:
    case Type::INT32:
    case Type::UINT32:
    case Type::INT64:
    case Type::UINT64:
    case Type::FLOAT:
    case Type::DOUBLE:
    case Type::STRING:
    case Type::BINARY:
    case Type::LARGE_STRING:
    case Type::LARGE_BINARY:
    case Type::STRING_VIEW:
    case Type::BINARY_VIEW:
    case Type::FIXED_SIZE_BINARY:
    case Type::DATE32:
    case Type::DATE64:
    case Type::TIMESTAMP:
    case Type::DECIMAL128:
    case Type::DECIMAL256: return true;
    case Type::DICTIONARY: return is_read(*static_cast<const arrow::DictionaryType&>(type).value_type());
    default: return false;
  }
}

void append_cell(const arrow::Array& column, int64_t row, std::string& out, int depth) {
  using arrow::Type;
  if (column.IsNull(row)) return;
  switch (column.type_id()) {
    case Type::BOOL: out += as<arrow::BooleanArray>(column).Value(row) ? "true" : "false"; break;
    case Type::INT8: append_number(as<arrow::Int8Array>(column).Value(row), out); break;
    case Type::UINT8: append_number(as<arrow::UInt8Array>(column).Value(row), out); break;
    case Type::INT16: append_number(as<arrow::Int16Array>(column).Value(row), out); break;
    case Type::UINT16: append_number(as<arrow::UInt16Array>(column).Value(row), out); break;
    case Type::INT32: append_number(as<arrow::Int32Array>(column).Value(row), out); break;
    case Type::UINT32: append_number(as<arrow::UInt32Array>(column).Value(row), out); break;
    case Type::INT64: append_number(as<arrow::Int64Array>(column).Value(row), out); break;
    case Type::UINT64: append_number(as<arrow::UInt64Array>(column).Value(row), out); break;
    case Type::FLOAT: append_number(as<arrow::FloatArray>(column).Value(row), out); break;
    case Type::DOUBLE: append_number(as<arrow::DoubleArray>(column).Value(row), out); break;
    case Type::STRING:
    case Type::BINARY: out += as<arrow::BinaryArray>(column).GetView(row); break;
    case Type::LARGE_STRING:
    case Type::LARGE_BINARY: out += as<arrow::LargeBinaryArray>(column).GetView(row); break;
    case Type::STRING_VIEW:
    case Type::BINARY_VIEW: out += as<arrow::BinaryViewArray>(column).GetView(row); break;
    case Type::FIXED_SIZE_BINARY: out += as<arrow::FixedSizeBinaryArray>(column).GetView(row); break;
    case Type::DATE32: out += std::to_string(int64_t{86400} * as<arrow::Date32Array>(column).Value(row)); break;
    case Type::DATE64: append_time(as<arrow::Date64Array>(column).Value(row), arrow::TimeUnit::MILLI, out); break;
    case Type::TIMESTAMP:
      append_time(as<arrow::TimestampArray>(column).Value(row),
                  static_cast<const arrow::TimestampType&>(*column.type()).unit(), out);
      break;
    case Type::DECIMAL128: out += as<arrow::Decimal128Array>(column).FormatValue(row); break;
    case Type::DECIMAL256: out += as<arrow::Decimal256Array>(column).FormatValue(row); break;
    case Type::DICTIONARY: {
      const auto& dictionary = as<arrow::DictionaryArray>(column);
      append_cell(*dictionary.dictionary(), dictionary.GetValueIndex(row), out, depth);
      break;
    }
    case Type::LIST: append_elements<arrow::ListArray>(column, row, out, depth); break;
    case Type::LARGE_LIST: append_elements<arrow::LargeListArray>(column, row, out, depth); break;
    case Type::FIXED_SIZE_LIST: append_elements<arrow::FixedSizeListArray>(column, row, out, depth); break;
    default: break;
  }
}

}  // namespace cllm
