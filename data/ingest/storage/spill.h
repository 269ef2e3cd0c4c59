#pragma once

// Binary records on disk: what does not fit into the memory budget.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "data/corpus/files.h"

namespace cllm {

/// A temporary file, written at the end and read anywhere; already unlinked, so that it vanishes with the process.
class SpillFile {
 public:
  explicit SpillFile(const std::filesystem::path& dir);
  SpillFile(SpillFile&& other) noexcept : fd_(std::exchange(other.fd_, -1)), size_(other.size_) {}
  SpillFile& operator=(SpillFile&&) = delete;
  ~SpillFile();

  void append(const void* data, size_t bytes);
  /// Reads exactly `bytes` at `offset`. DataError on an I/O error.
  void read(void* data, size_t bytes, uint64_t offset) const;
  uint64_t size() const { return size_; }
  MappedFile map() const { return MappedFile(fd_, "temporary file"); }

 private:
  int fd_;
  uint64_t size_ = 0;
};

/// Sequential records of a range of a file.
template <typename T>
class RecordStream {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  RecordStream(const SpillFile& file, uint64_t begin, uint64_t end, size_t buffer_bytes)
      : file_(&file), at_(begin), end_(end), capacity_(std::max<size_t>(1, buffer_bytes / sizeof(T))) {}

  bool next(T& record) {
    if (used_ == buffer_.size() && !refill()) return false;
    record = buffer_[used_++];
    return true;
  }

 private:
  bool refill() {
    const size_t count = std::min<uint64_t>(capacity_, (end_ - at_) / sizeof(T));
    buffer_.resize(count);
    used_ = 0;
    if (count == 0) return false;
    file_->read(buffer_.data(), count * sizeof(T), at_);
    at_ += count * sizeof(T);
    return true;
  }

  const SpillFile* file_;
  uint64_t at_, end_;
  size_t capacity_, used_ = 0;
  std::vector<T> buffer_;
};

/// Records written one after the other, then read as often as wanted.
template <typename T>
class RecordFile {
 public:
  explicit RecordFile(const std::filesystem::path& dir) : file_(dir) {}
  void add(const T& record) {
    buffer_.push_back(record);
    if (buffer_.size() >= kBuffer) flush();
  }
  RecordStream<T> read() {
    flush();
    return {file_, 0, file_.size(), kBuffer * sizeof(T)};
  }
  uint64_t size() const { return file_.size() / sizeof(T) + buffer_.size(); }
  /// All records for random access; the kernel may drop the pages at any time, so they cost no memory that is needed
  /// elsewhere.
  MappedFile map() {
    flush();
    return file_.map();
  }

 private:
  static constexpr size_t kBuffer = 65536;  // records
  void flush() {
    file_.append(buffer_.data(), buffer_.size() * sizeof(T));
    buffer_.clear();
  }
  SpillFile file_;
  std::vector<T> buffer_;
};

/// Sorts more records than fit into memory: sorted runs are spilled and merged. Less must be a total order for a
/// deterministic result.
template <typename T, typename Less = std::less<T>>
class ExternalSorter {
 public:
  ExternalSorter(const std::filesystem::path& dir, size_t memory_bytes)
      : file_(dir), memory_bytes_(memory_bytes), capacity_(std::max<size_t>(2, memory_bytes / sizeof(T))) {}

  void add(const T& record) {
    if (buffer_.size() == capacity_) spill();
    if (buffer_.empty())
      buffer_.reserve(capacity_);  // at once: growing would hold two copies; untouched pages cost nothing
    buffer_.push_back(record);
    ++count_;
  }
  uint64_t size() const { return count_; }

  /// Ends the adding; then next() hands out all records in order, once.
  void finish() {
    if (run_ends_.empty()) {
      std::sort(buffer_.begin(), buffer_.end(), less_);
      return;
    }
    spill();
    std::vector<T>().swap(buffer_);
    const size_t share = std::max<size_t>(size_t{64} << 10, memory_bytes_ / run_ends_.size());
    uint64_t begin = 0;
    for (const uint64_t end : run_ends_) {
      runs_.emplace_back(file_, begin, end, share);
      begin = end;
      Head head{{}, runs_.size() - 1};
      if (runs_.back().next(head.record)) heads_.push_back(head);
    }
    std::make_heap(heads_.begin(), heads_.end(), after_);
  }

  bool next(T& record) {
    if (run_ends_.empty()) {
      if (used_ == buffer_.size()) return false;
      record = buffer_[used_++];
      return true;
    }
    if (heads_.empty()) return false;
    std::pop_heap(heads_.begin(), heads_.end(), after_);
    Head& head = heads_.back();
    record = head.record;
    if (runs_[head.run].next(head.record)) {
      std::push_heap(heads_.begin(), heads_.end(), after_);
    } else {
      heads_.pop_back();
    }
    return true;
  }

 private:
  struct Head {
    T record;
    size_t run;
  };
  struct After {
    bool operator()(const Head& a, const Head& b) const { return Less()(b.record, a.record); }
  };

  void spill() {
    std::sort(buffer_.begin(), buffer_.end(), less_);
    file_.append(buffer_.data(), buffer_.size() * sizeof(T));
    run_ends_.push_back(file_.size());
    buffer_.clear();
  }

  SpillFile file_;
  size_t memory_bytes_, capacity_;
  std::vector<T> buffer_;
  size_t used_ = 0;
  uint64_t count_ = 0;
  std::vector<uint64_t> run_ends_;  // byte positions in the file
  std::vector<RecordStream<T>> runs_;
  std::vector<Head> heads_;  // the next record of every run, as a heap
  Less less_;
  After after_;
};

}  // namespace cllm
