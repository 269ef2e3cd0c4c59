#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "dist/row_partition.h"

namespace cllm {

/// Rows of one kind, of all ranks.
struct RowGroup {
  std::string name;         // "user", "item", …: in files the rows of table "l" are l_user, l_item, …
  RowPartition partition;   // of the group's own numbers, 0 .. num_rows - 1
  int64_t first_row = 0;    // global row of its number 0
  int64_t first_local = 0;  // local row of this rank's first
  int64_t num_local = 0;

  /// Global row - local row of this rank's rows.
  int64_t shift(int rank) const { return first_row + partition.begin(rank) - first_local; }
};

/// Who owns which row of a table of named groups. Global rows: the groups one after the other. Each group is
/// partitioned on its own, so that every rank holds the same share of each; a rank's local rows are its shares in the
/// same order. Tables of one layout (the two sides of CLLM4Rec) keep the rows of an id on one rank.
class RowLayout {
 public:
  struct Size {
    std::string name;
    int64_t num_rows;
  };

  RowLayout() = default;
  RowLayout(const std::vector<Size>& groups, int rank, int world_size) : rank_(rank) {
    for (const Size& group : groups) {
      RowGroup added{group.name, RowPartition(group.num_rows, world_size), num_rows_, num_local_rows_, 0};
      added.num_local = added.partition.size(rank);
      num_rows_ += group.num_rows;
      num_local_rows_ += added.num_local;
      groups_.push_back(std::move(added));
    }
  }
  /// The groups "user" and "item".
  RowLayout(int64_t num_users, int64_t num_items, int rank, int world_size)
      : RowLayout({{"user", num_users}, {"item", num_items}}, rank, world_size) {}

  int rank() const { return rank_; }
  int64_t num_local_rows() const { return num_local_rows_; }
  int64_t num_rows() const { return num_rows_; }
  const std::vector<RowGroup>& groups() const { return groups_; }
  /// Throws std::out_of_range.
  const RowGroup& group(std::string_view name) const {
    for (const RowGroup& group : groups_) {
      if (group.name == name) return group;
    }
    throw std::out_of_range("a table has no rows of a group " + std::string(name));
  }

  const RowPartition& users() const { return group("user").partition; }
  const RowPartition& items() const { return group("item").partition; }
  int64_t num_local_users() const { return group("user").num_local; }
  int64_t num_local_items() const { return group("item").num_local; }

  int owner(int64_t row) const {
    const RowGroup& group = group_of(row);
    return group.partition.owner(row - group.first_row);
  }
  /// Index into this rank's local rows; `row` must be owned by this rank.
  int64_t local(int64_t row) const { return row - group_of(row).shift(rank_); }
  /// Global row of a local index.
  int64_t global(int64_t local_row) const {
    size_t n = groups_.size() - 1;
    while (n > 0 && local_row < groups_[n].first_local) --n;
    return local_row + groups_[n].shift(rank_);
  }

 private:
  const RowGroup& group_of(int64_t row) const {
    size_t n = groups_.size() - 1;
    while (n > 0 && row < groups_[n].first_row) --n;
    return groups_[n];
  }

  std::vector<RowGroup> groups_;
  int64_t num_rows_ = 0, num_local_rows_ = 0;
  int rank_ = 0;
};

}  // namespace cllm
