#include <arrow/array.h>
#include <arrow/memory_pool.h>
#include <arrow/record_batch.h>
#include <parquet/arrow/reader.h>
#include <parquet/arrow/schema.h>
#include <parquet/file_reader.h>
#include <parquet/metadata.h>
#include <parquet/properties.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "data/errors.h"
#include "data/ingest/reading/arrow_cells.h"
#include "data/ingest/reading/arrow_columns.h"
#include "data/ingest/reading/columnar_rows.h"
#include "data/ingest/values/parse.h"

namespace cllm {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail(const fs::path& path, const std::string& reason) {
  throw DataError(path.string() + ": cannot read: " + reason.substr(0, reason.find('\n')));
}

void check(const fs::path& path, const arrow::Status& status) {
  if (!status.ok()) fail(path, status.message());
}

template <typename T>
T value_of(const fs::path& path, arrow::Result<T> result) {
  check(path, result.status());
  return std::move(result).ValueUnsafe();
}

/// One file.
class Part {
 public:
  explicit Part(const fs::path& path) : path_(path), bytes_(fs::file_size(path)) {
    constexpr int64_t kBuffer = int64_t{1} << 20, kBatch = 4096;
    arrow::MemoryPool* const pool = arrow::system_memory_pool();  // what others keep for later counts as used
    parquet::ReaderProperties properties(pool);
    properties.enable_buffered_stream();  // else a row group's columns are read as a whole
    properties.set_buffer_size(kBuffer);
    parquet::ArrowReaderProperties arrow_properties(/*use_threads=*/false);
    arrow_properties.set_batch_size(kBatch);
    arrow_properties.set_pre_buffer(false);
    parquet::arrow::FileReaderBuilder builder;
    check(path, builder.OpenFile(path.string(), /*memory_map=*/false, properties));
    builder.memory_pool(pool)->properties(arrow_properties);
    reader_ = value_of(path, builder.Build());
    total_rows_ = file().metadata()->num_rows();
    for (const auto& field : fields()) names_.push_back(field.field->name());
  }

  const std::vector<std::string>& names() const { return names_; }

  /// Refuses what cannot be read for this use.
  void check_type(size_t column, ColumnUse use) const {
    const arrow::DataType& type = *fields()[column].field->type();
    const std::string where =
        path_.string() + ": column " + cllm::quoted(names_[column]) + " has type " + type.ToString();
    if (use == ColumnUse::kValue && is_list(type)) {
      throw DataError(where + ", and one value is expected; write a row per element, with pandas: t.explode(" +
                      lists_beside(*reader_, column) + ")");
    }
    if (use != ColumnUse::kNone && use != ColumnUse::kTextIfAny && !is_read(type)) {
      throw DataError(where + ", which is not read; cast it to " +
                      (type.id() == arrow::Type::HALF_FLOAT ? "float" : "a string, a number or a timestamp"));
    }
  }

  bool holds_strings(size_t column) const {
    const arrow::DataType* type = fields()[column].field->type().get();
    if (is_list(*type)) type = type->field(0)->type().get();
    return type->id() == arrow::Type::STRING || type->id() == arrow::Type::LARGE_STRING ||
           type->id() == arrow::Type::STRING_VIEW || (type->id() == arrow::Type::DICTIONARY && is_read(*type));
  }

  /// Of names(). Before the first row.
  void open(const std::vector<bool>& selected) {
    columns_.resize(names_.size());
    std::vector<int> leaves;
    for (size_t n = 0; n < names_.size(); ++n) {
      if (!selected[n]) continue;
      columns_[n].flat = flat_column(fields()[n], *file().metadata()->schema());
      if (columns_[n].flat != nullptr) continue;
      columns_[n].place_in_batch = num_in_batch_++;
      add_leaves(fields()[n], leaves);
    }
    std::vector<int> groups(static_cast<size_t>(file().metadata()->num_row_groups()));
    std::iota(groups.begin(), groups.end(), 0);
    if (!leaves.empty()) batches_ = value_of(path_, reader_->GetRecordBatchReader(groups, leaves));
  }

  bool next() {
    while (rows_left_ == 0) {
      if (group_ + 1 >= file().metadata()->num_row_groups()) return false;
      const auto group = file().RowGroup(++group_);
      rows_left_ = group->metadata()->num_rows();
      for (Column& column : columns_) {
        if (column.flat != nullptr) column.flat->open(*group);
      }
    }
    --rows_left_;
    ++rows_;
    if (batches_ != nullptr) next_in_batch();
    not_utf8_ = nullptr;
    for (Column& column : columns_) {
      if (column.flat != nullptr) {
        column.text = column.flat->next();
        if (!column.flat->is_utf8) not_utf8_ = &column.text;
      } else if (column.place_in_batch >= 0) {
        column.written.clear();
        append_cell(*batch_->column(column.place_in_batch), row_, column.written);
        column.text = column.written;
        if (!is_utf8(column.text)) not_utf8_ = &column.text;
      }
    }
    return true;
  }

  const std::string_view* not_utf8() const { return not_utf8_; }  // a cell of the row

  std::string_view cell(size_t column) const { return columns_[column].text; }
  CellFacts facts(size_t column) const {
    return columns_[column].flat != nullptr ? columns_[column].flat->facts : CellFacts{};
  }

  uint64_t consumed() const {
    const double share = static_cast<double>(rows_) / static_cast<double>(std::max<int64_t>(1, total_rows_));
    return static_cast<uint64_t>(static_cast<double>(bytes_) * std::min(1.0, share));
  }

 private:
  struct Column {
    std::unique_ptr<FlatColumn> flat;  // or
    int place_in_batch = -1;           // of what Arrow converts; -1: not read
    std::string written;
    std::string_view text;  // of the row
  };

  parquet::ParquetFileReader& file() const { return *reader_->parquet_reader(); }
  const std::vector<parquet::arrow::SchemaField>& fields() const { return reader_->manifest().schema_fields; }

  void next_in_batch() {
    while (batch_ == nullptr || row_ + 1 == batch_->num_rows()) {
      check(path_, batches_->ReadNext(&batch_));
      if (batch_ == nullptr) fail(path_, "a column ends before the file");
      if (batch_->num_columns() != num_in_batch_) fail(path_, "columns that are not in its list");
      check(path_, batch_->ValidateFull());
      row_ = -1;
    }
    ++row_;
  }

  fs::path path_;
  uint64_t bytes_;
  std::unique_ptr<parquet::arrow::FileReader> reader_;
  std::vector<std::string> names_;
  std::vector<Column> columns_;
  int group_ = -1;
  int64_t rows_left_ = 0, rows_ = 0, total_rows_ = 0;  // of the group; of the file
  std::shared_ptr<arrow::RecordBatchReader> batches_;
  std::shared_ptr<arrow::RecordBatch> batch_;
  int64_t row_ = -1;  // of the batch
  int num_in_batch_ = 0;
  const std::string_view* not_utf8_ = nullptr;
};

/// Parquet's own exceptions, of damaged files, as DataError.
template <typename Call>
auto guarded(const fs::path& path, const Call& call) {
  try {
    return call();
  } catch (const DataError&) {
    throw;
  } catch (const std::exception& error) {
    fail(path, error.what());
  }
}

class ParquetRows : public ColumnarRows {
 public:
  ParquetRows(const fs::path& place, const std::vector<fs::path>& parts) : place_(place), parts_(parts) {
    open_part(0);
    names_ = part_->names();
    for (const auto& [key, value] : keys_) names_.push_back(key);
  }

  const std::vector<std::string>& names() const override { return names_; }

  void refuse_list(size_t column) const override {
    if (column < part_->names().size()) guarded(place_, [&] { part_->check_type(column, ColumnUse::kValue); });
  }

  void select(const std::vector<ColumnUse>& columns) override { selected_ = columns; }

  bool next(std::vector<std::string_view>& cells, std::vector<CellFacts>& facts) override {
    if (!opened_) read_part();
    while (!guarded(parts_[current_], [&] { return part_->next(); })) {
      consumed_ += fs::file_size(parts_[current_]);
      if (current_ + 1 == parts_.size()) return false;
      open_part(current_ + 1);
      order_columns();
      read_part();
    }
    cells.resize(names_.size());
    facts.resize(names_.size());
    const size_t stored = part_->names().size();
    for (size_t n = 0; n < stored; ++n) {
      cells[n] = part_->cell(place(n));
      facts[n] = part_->facts(place(n));
    }
    for (size_t n = stored; n < names_.size(); ++n) cells[n] = keys_[n - stored].second;
    return true;
  }

  const std::string_view* not_utf8() const override { return part_->not_utf8(); }

  uint64_t consumed() const override { return consumed_ + part_->consumed(); }

 private:
  /// Of the folders named key=value on the way to a part.
  std::vector<std::pair<std::string, std::string>> keys_of(const fs::path& part) const {
    std::vector<std::pair<std::string, std::string>> keys;
    if (part == place_) return keys;
    for (const fs::path& folder : fs::relative(part, place_).parent_path()) {
      const std::string name = folder.string();
      const size_t equals = name.find('=');
      if (equals == std::string::npos) continue;
      const std::string value = without_percents(name.substr(equals + 1));  // as Hive writes / and the like
      if (!is_utf8(name) || !is_utf8(value)) throw DataError(part.string() + ": a folder's name is no UTF-8");
      keys.emplace_back(name.substr(0, equals), value == "__HIVE_DEFAULT_PARTITION__" ? "" : value);
    }
    return keys;
  }

  void open_part(size_t n) {
    current_ = n;
    part_ = guarded(parts_[n], [&] { return std::make_unique<Part>(parts_[n]); });
    keys_ = keys_of(parts_[n]);
  }

  void read_part() {
    std::vector<bool> wanted(part_->names().size(), selected_.empty());
    for (size_t n = 0; n < std::min(selected_.size(), wanted.size()); ++n) {
      part_->check_type(place(n), selected_[n]);
      wanted[place(n)] =
          selected_[n] == ColumnUse::kTextIfAny ? part_->holds_strings(place(n)) : selected_[n] != ColumnUse::kNone;
    }
    guarded(parts_[current_], [&] { part_->open(wanted); });
    opened_ = true;
  }

  size_t place(size_t column) const { return order_.empty() ? column : order_[column]; }

  /// Parts may have the columns of the first in another order.
  void order_columns() {
    const auto& there = part_->names();
    order_.clear();
    bool same = there.size() + keys_.size() == names_.size();
    for (size_t n = 0; same && n < names_.size(); ++n) {
      if (n >= there.size()) {
        same = keys_[n - there.size()].first == names_[n];
        continue;
      }
      const auto at = std::find(there.begin(), there.end(), names_[n]);
      same = at != there.end();
      order_.push_back(static_cast<size_t>(at - there.begin()));
    }
    if (!same) {
      throw DataError(parts_[current_].string() + ": other columns than in " + parts_[0].filename().string() +
                      "; write all parts with the same ones");
    }
  }

  fs::path place_;
  std::vector<fs::path> parts_;
  size_t current_ = 0;
  std::unique_ptr<Part> part_;
  std::vector<std::string> names_;                         // of all columns
  std::vector<std::pair<std::string, std::string>> keys_;  // of the folders on the way to the part: the last columns
  std::vector<size_t> order_;                              // names_ -> columns of the part; empty: the same
  std::vector<ColumnUse> selected_;                        // of names_; empty: all
  bool opened_ = false;
  uint64_t consumed_ = 0;  // by the parts before
};

}  // namespace
}  // namespace cllm
// NOLINTNEXTLINE(readability-identifier-naming): a macro
extern "C" [[gnu::visibility("default")]] cllm::ColumnarRows* CLLM_OPEN_PARQUET_PARTS(
    const std::filesystem::path& place, const std::vector<std::filesystem::path>& parts) {
  return new cllm::ParquetRows(place, parts);
}
