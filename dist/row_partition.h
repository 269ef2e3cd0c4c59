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

}  // namespace cllm
