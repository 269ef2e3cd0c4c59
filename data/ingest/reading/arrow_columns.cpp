#include "data/ingest/reading/arrow_columns.h"

#include <arrow/record_batch.h>
#include <arrow/type.h>
#include <parquet/column_reader.h>
#include <parquet/exception.h>
#include <parquet/types.h>

#include <algorithm>
#include <atomic>
#include <vector>

#include "data/ingest/reading/arrow_cells.h"
#include "data/ingest/values/parse.h"

namespace cllm {
namespace {

constexpr int64_t kBatch = 512;  // rows: what is read of a page is in the cache when it is handed out

template <typename Type>
class Flat : public FlatColumn {
 public:
  explicit Flat(int column) : column_(column), levels_(kBatch) {}

  void open(parquet::RowGroupReader& group) override {
    reader_ = std::static_pointer_cast<parquet::TypedColumnReader<Type>>(
        group.ColumnWithExposeEncoding(column_, parquet::ExposedEncoding::DICTIONARY));
    present_ = reader_->descr()->max_definition_level();
    row_ = rows_ = 0;
  }

 protected:
  /// Reads rows of one page, at most kBatch; returns how many, and in `values` how many of them are not null.
  virtual int64_t read(int16_t* levels, int64_t& values) = 0;

  /// Goes on to the next row; false if it is null, else value_ is its place among the values that were read.
  bool advance() {
    if (row_ == rows_) {
      rows_ = read(levels_.data(), values_);
      if (rows_ == 0) throw parquet::ParquetException("a column ends before its row group");
      row_ = 0;
      value_ = -1;
    }
    if (present_ > 0 && levels_[static_cast<size_t>(row_++)] != present_) return false;
    if (present_ == 0) ++row_;
    if (++value_ >= values_) throw parquet::ParquetException("a column has fewer values than rows");
    return true;
  }

  int64_t num_values() const { return values_; }

  std::shared_ptr<parquet::TypedColumnReader<Type>> reader_;
  int64_t value_ = -1;

 private:
  int column_;
  int16_t present_ = 0;  // the level of what is not null
  std::vector<int16_t> levels_;
  int64_t row_ = 0, rows_ = 0, values_ = 0;
};

template <typename Type>
class Numbers : public Flat<Type> {
 public:
  explicit Numbers(int column) : Flat<Type>(column), numbers_(kBatch) {}

  std::string_view next() override {
    this->facts.whole.reset();
    if (!this->advance()) return {};
    const auto number = numbers_[static_cast<size_t>(this->value_)];
    if constexpr (std::is_integral_v<decltype(number)>) this->facts.whole = number;
    return {text_, write_number(number, text_)};
  }

 private:
  int64_t read(int16_t* levels, int64_t& values) override {
    return this->reader_->ReadBatch(kBatch, levels, nullptr, numbers_.data(), &values);
  }

  std::vector<typename Type::c_type> numbers_;
  char text_[kLongestNumber];
};

class Strings : public Flat<parquet::ByteArrayType> {
 public:
  explicit Strings(int column) : Flat(column), strings_(kBatch), places_(kBatch) {}

  void open(parquet::RowGroupReader& group) override {
    static std::atomic<uint64_t> lists = 0;
    Flat::open(group);
    has_list_ = reader_->GetExposedEncoding() == parquet::ExposedEncoding::DICTIONARY;
    number_ = ++lists;
    list_.clear();
    list_is_utf8_ = false;
  }

  std::string_view next() override {
    is_utf8 = true;
    facts = {};
    if (!advance()) return {};
    const auto n = static_cast<size_t>(value_);
    if (!has_list_) {
      const std::string_view text(strings_[n]);
      if (n == 0) {
        ahead_.clear();
        for (size_t k = 0; k < static_cast<size_t>(num_values()); ++k)
          ahead_.emplace_back(std::string_view(strings_[k]));
        facts.ahead = ahead_;
      }
      is_utf8 = cllm::is_utf8(text);
      return text;
    }
    const auto place = static_cast<uint32_t>(places_[n]);
    if (place >= list_.size()) throw parquet::ParquetException("a value is not in its column's dictionary");
    facts.code = {number_, place, static_cast<uint32_t>(list_.size())};
    is_utf8 = list_is_utf8_ || cllm::is_utf8(list_[place]);
    return list_[place];
  }

 private:
  int64_t read(int16_t* levels, int64_t& values) override {
    if (!has_list_) return reader_->ReadBatch(kBatch, levels, nullptr, strings_.data(), &values);
    const parquet::ByteArray* list = nullptr;
    int32_t length = 0;
    const int64_t rows =
        reader_->ReadBatchWithDictionary(kBatch, levels, nullptr, places_.data(), &values, &list, &length);
    if (list_.empty()) {
      for (int32_t n = 0; n < length; ++n) list_.push_back(trimmed(std::string_view(list[n])));
      list_is_utf8_ = std::all_of(list_.begin(), list_.end(), cllm::is_utf8);
    }
    return rows;
  }

  bool has_list_ = false, list_is_utf8_ = false;
  uint64_t number_ = 0;  // of the list
  std::vector<parquet::ByteArray> strings_;
  std::vector<std::string_view> ahead_;  // the same; or
  std::vector<std::string_view> list_;   // which the reader owns
  std::vector<int32_t> places_;          // in it
};

}  // namespace

std::unique_ptr<FlatColumn> flat_column(const parquet::arrow::SchemaField& field,
                                        const parquet::SchemaDescriptor& schema) {
  using arrow::Type;
  if (!field.is_leaf()) return nullptr;
  const parquet::ColumnDescriptor* const stored = schema.Column(field.column_index);
  if (stored->max_repetition_level() != 0 || stored->max_definition_level() > 1) return nullptr;
  const arrow::DataType* type = field.field->type().get();
  if (type->id() == Type::DICTIONARY) type = static_cast<const arrow::DictionaryType*>(type)->value_type().get();
  const int column = field.column_index;
  switch (type->id()) {
    case Type::STRING:
    case Type::BINARY:
    case Type::LARGE_STRING:
    case Type::LARGE_BINARY:
      if (stored->physical_type() == parquet::Type::BYTE_ARRAY) return std::make_unique<Strings>(column);
      return nullptr;
    case Type::INT8:
    case Type::INT16:
    case Type::INT32:
      if (stored->physical_type() == parquet::Type::INT32) return std::make_unique<Numbers<parquet::Int32Type>>(column);
      return nullptr;
    case Type::INT64:
      if (stored->physical_type() == parquet::Type::INT64) return std::make_unique<Numbers<parquet::Int64Type>>(column);
      return nullptr;
    case Type::FLOAT:
      if (stored->physical_type() == parquet::Type::FLOAT) return std::make_unique<Numbers<parquet::FloatType>>(column);
      return nullptr;
    case Type::DOUBLE:
      if (stored->physical_type() == parquet::Type::DOUBLE)
        return std::make_unique<Numbers<parquet::DoubleType>>(column);
      return nullptr;
    default: return nullptr;
  }
}

void add_leaves(const parquet::arrow::SchemaField& field, std::vector<int>& leaves) {
  if (field.is_leaf()) leaves.push_back(field.column_index);
  for (const auto& child : field.children) add_leaves(child, leaves);
}

std::string lists_beside(parquet::arrow::FileReader& file, size_t column) {
  const auto& fields = file.manifest().schema_fields;
  std::vector<int> leaves;
  for (const auto& field : fields) {
    if (is_list(*field.field->type())) add_leaves(field, leaves);
  }
  const std::string name = fields[column].field->name();
  std::shared_ptr<arrow::RecordBatch> rows;
  const auto batches = file.GetRecordBatchReader({0}, leaves);
  if (!batches.ok() || !(*batches)->ReadNext(&rows).ok() || rows == nullptr) return cllm::quoted(name);
  const auto lengths = rows->GetColumnByName(name);
  std::string names;
  size_t count = 0;
  for (int n = 0; n < rows->num_columns() && lengths != nullptr; ++n) {
    if (!are_as_long(*lengths, *rows->column(n))) continue;
    names += (count++ > 0 ? ", " : "") + cllm::quoted(rows->column_name(n));
  }
  return count > 1 ? "[" + names + "]" : cllm::quoted(name);
}

}  // namespace cllm
