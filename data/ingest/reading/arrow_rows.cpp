#include <arrow/array.h>
#include <arrow/memory_pool.h>
#include <arrow/record_batch.h>
#include <arrow/type.h>
#include <parquet/arrow/reader.h>
#include <parquet/file_reader.h>
#include <parquet/metadata.h>
#include <parquet/properties.h>

#include <algorithm>
#include <charconv>
#include <future>
#include <utility>

#include "data/errors.h"
#include "data/ingest/reading/arrow_cells.h"
#include "data/ingest/reading/columnar_rows.h"

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
    total_rows_ = reader_->parquet_reader()->metadata()->num_rows();
    batches_ = value_of(path, reader_->GetRecordBatchReader());
    for (const auto& field : batches_->schema()->fields()) names_.push_back(field->name());
    read_ahead();
  }

  const std::vector<std::string>& names() const { return names_; }

  bool next() {
    while (batch_ == nullptr || row_ + 1 == batch_->num_rows()) {
      if (ahead_.valid()) batch_ = ahead_.get();
      if (batch_ == nullptr) return false;
      read_ahead();
      look_at_columns();
      row_ = -1;
    }
    ++row_;
    ++rows_;
    return true;
  }

  void append(size_t column, std::string& out) const {
    const Column& from = columns_[column];
    if (from.numbers == nullptr) return append_cell(*from.array, row_, out);
    char digits[24];
    out.append(digits, std::to_chars(digits, digits + sizeof digits, from.numbers[row_]).ptr);
  }

  /// Are all cells of the batch whole numbers?
  bool numbers_only() const { return numbers_only_; }
  /// Such a row, written in place: what logs of interactions are, 10^8 times.
  void write_numbers(std::string& row, std::vector<size_t>& ends) const {
    constexpr size_t kRoom = 24;  // of a number and its tab
    row.resize(columns_.size() * kRoom);
    ends.resize(columns_.size());
    char *const begin = row.data(), *at = begin;
    for (size_t n = 0; n < columns_.size(); ++n) {
      at = std::to_chars(at, at + kRoom, columns_[n].numbers[row_]).ptr;
      ends[n] = static_cast<size_t>(at - begin);
      *at++ = '\t';
    }
    row.resize(static_cast<size_t>(at - begin));
  }

  uint64_t consumed() const {
    const double share = static_cast<double>(rows_) / static_cast<double>(std::max<int64_t>(1, total_rows_));
    return static_cast<uint64_t>(static_cast<double>(bytes_) * std::min(1.0, share));
  }

 private:
  struct Column {
    const arrow::Array* array;
    const int64_t* numbers;  // what nearly all cells are: whole numbers, none missing; null: others
  };
  /// The next batch is decoded while the rows of this one are taken.
  void read_ahead() {
    ahead_ = std::async(std::launch::async, [this] {
      std::shared_ptr<arrow::RecordBatch> batch;
      check(path_, batches_->ReadNext(&batch));
      if (batch != nullptr) check(path_, batch->ValidateFull());
      return batch;
    });
  }
  void look_at_columns() {
    columns_.clear();
    numbers_only_ = true;
    for (const auto& column : batch_->columns()) {
      const bool plain = column->type_id() == arrow::Type::INT64 && column->null_count() == 0;
      columns_.push_back({column.get(), plain ? static_cast<const arrow::Int64Array&>(*column).raw_values() : nullptr});
      numbers_only_ = numbers_only_ && plain;
    }
  }

  fs::path path_;
  uint64_t bytes_;
  std::unique_ptr<parquet::arrow::FileReader> reader_;
  std::shared_ptr<arrow::RecordBatchReader> batches_;
  std::shared_ptr<arrow::RecordBatch> batch_;
  std::vector<Column> columns_;  // of the batch
  bool numbers_only_ = false;
  std::vector<std::string> names_;
  int64_t row_ = -1, rows_ = 0, total_rows_ = 0;
  std::future<std::shared_ptr<arrow::RecordBatch>> ahead_;  // last: it is waited for before the reader is gone
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
    for (const auto& [key, value] : keys_of(parts_[0])) names_.push_back(key);
  }

  const std::vector<std::string>& names() const override { return names_; }

  bool next(std::string& row, std::vector<size_t>& ends) override {
    while (!guarded(parts_[current_], [&] { return part_->next(); })) {
      consumed_ += fs::file_size(parts_[current_]);
      if (current_ + 1 == parts_.size()) return false;
      open_part(current_ + 1);
      order_columns();
    }
    if (part_->numbers_only() && order_.empty() && values_.empty()) {
      part_->write_numbers(row, ends);
      return true;
    }
    row.clear();
    ends.clear();
    for (size_t n = 0; n < names_.size(); ++n) {
      if (n < part_->names().size()) {
        part_->append(order_.empty() ? n : order_[n], row);
      } else {
        row += values_[n - part_->names().size()];
      }
      ends.push_back(row.size());
      row += '\t';
    }
    return true;
  }

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
      const std::string value = name.substr(equals + 1);
      keys.emplace_back(name.substr(0, equals), value == "__HIVE_DEFAULT_PARTITION__" ? "" : value);
    }
    return keys;
  }

  void open_part(size_t n) {
    current_ = n;
    part_ = guarded(parts_[n], [&] { return std::make_unique<Part>(parts_[n]); });
    values_.clear();
    for (const auto& [key, value] : keys_of(parts_[n])) values_.push_back(value);
  }

  /// Parts may have the columns of the first in another order.
  void order_columns() {
    const auto& there = part_->names();
    order_.clear();
    for (size_t n = 0; n < names_.size() - std::min(values_.size(), names_.size()); ++n) {
      const auto at = std::find(there.begin(), there.end(), names_[n]);
      if (at != there.end()) order_.push_back(static_cast<size_t>(at - there.begin()));
    }
    if (order_.size() != there.size() || there.size() + values_.size() != names_.size()) {
      throw DataError(parts_[current_].string() + ": other columns than in " + parts_[0].filename().string() +
                      "; write all parts with the same ones");
    }
  }

  fs::path place_;
  std::vector<fs::path> parts_;
  size_t current_ = 0;
  std::unique_ptr<Part> part_;
  std::vector<std::string> names_, values_;  // of all columns; of the folders on the way
  std::vector<size_t> order_;                // names_ -> columns of the part; empty: the same
  uint64_t consumed_ = 0;                    // by the parts before
};

}  // namespace
}  // namespace cllm

extern "C" [[gnu::visibility("default")]] cllm::ColumnarRows* cllm4rec_open_parquet_parts(
    const std::filesystem::path& place, const std::vector<std::filesystem::path>& parts) {
  return new cllm::ParquetRows(place, parts);
}
