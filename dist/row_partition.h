#pragma once

#include <cstdint>
#include <vector>

namespace cllm {

/// Contiguous blocks of rows: rank r owns [n r / R, n (r+1) / R). Blocks differ by at most one row; a rank may own
/// none. num_rows * world_size must fit in 63 bits.
class RowPartition {
 public:
  RowPartition() = default;
  RowPartition(int64_t num_rows, int world_size) : num_rows_(num_rows), world_size_(world_size) {}

  int64_t num_rows() const { return num_rows_; }
  int world_size() const { return world_size_; }
  int64_t begin(int rank) const { return num_rows_ * rank / world_size_; }
  int64_t end(int rank) const { return begin(rank + 1); }
  int64_t size(int rank) const { return end(rank) - begin(rank); }
  /// The rank whose block holds `row`.
  int owner(int64_t row) const { return static_cast<int>(((row + 1) * world_size_ - 1) / num_rows_); }
  /// size(r) of every rank.
  std::vector<int64_t> sizes() const {
    std::vector<int64_t> out;
    for (int rank = 0; rank < world_size_; ++rank) out.push_back(size(rank));
    return out;
  }

 private:
  int64_t num_rows_ = 0;
  int world_size_ = 1;
};

/// Who owns which embedding row. Global rows: user i -> i, item j -> I + j. Users and items are partitioned each on
/// their own, so that every rank holds the same share of both; a rank's local rows are its users followed by its items.
/// All tables (collaborative and content) use one layout, so the two rows of an id always live together.
class TableLayout {
 public:
  TableLayout() = default;
  TableLayout(int64_t num_users, int64_t num_items, int rank, int world_size)
      : users_(num_users, world_size), items_(num_items, world_size), rank_(rank) {}

  const RowPartition& users() const { return users_; }
  const RowPartition& items() const { return items_; }
  int rank() const { return rank_; }
  int64_t num_local_users() const { return users_.size(rank_); }
  int64_t num_local_items() const { return items_.size(rank_); }
  int64_t num_local_rows() const { return num_local_users() + num_local_items(); }
  int64_t num_rows() const { return users_.num_rows() + items_.num_rows(); }

  int owner(int64_t row) const {
    return row < users_.num_rows() ? users_.owner(row) : items_.owner(row - users_.num_rows());
  }
  /// Index into this rank's local rows; `row` must be owned by this rank.
  int64_t local(int64_t row) const {
    return row < users_.num_rows() ? row - users_.begin(rank_)
                                   : num_local_users() + row - users_.num_rows() - items_.begin(rank_);
  }
  /// Global row of a local index.
  int64_t global(int64_t local_row) const {
    return local_row < num_local_users() ? users_.begin(rank_) + local_row
                                         : users_.num_rows() + items_.begin(rank_) + local_row - num_local_users();
  }

 private:
  RowPartition users_, items_;
  int rank_ = 0;
};

}  // namespace cllm
