#pragma once

// The item-item matrix X^T X of the training part, X [I, J] with 0 and 1, and how its rows travel.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "data/corpus/corpus.h"
#include "dist/communicator/communicator.h"
#include "dist/row_partition.h"

namespace cllm {

/// A part of the users, drawn by a hash of their ids, that a fit leaves out.
struct UserFold {
  int64_t folds = 1;  // 1: nobody is left out
  int64_t fold = 0;

  static int64_t of(int64_t user, int64_t folds);
  bool has(int64_t user) const { return folds > 1 && of(user, folds) == fold; }
};

/// The training users of the items first .. last - 1, less those of a fold: columns of X. Reads the rows of all users
/// once.
class ItemUsers {
 public:
  ItemUsers(const Corpus& corpus, int64_t first, int64_t last, UserFold without = {});

  /// Ascending.
  std::span<const int32_t> of(int64_t item) const {
    const auto n = static_cast<size_t>(item - first_);
    return std::span(users_).subspan(static_cast<size_t>(offsets_[n]),
                                     static_cast<size_t>(offsets_[n + 1] - offsets_[n]));
  }
  int64_t count(int64_t item) const { return static_cast<int64_t>(of(item).size()); }

 private:
  int64_t first_;
  std::vector<int64_t> offsets_;  // [last - first + 1]
  std::vector<int32_t> users_;
};

/// Adds row `item` of X^T X to row_J: the number of users who have both. Exact, so in any order the same.
void add_gram_row(const Corpus& corpus, const ItemUsers& users, int64_t item, std::span<double> row_J);

/// Fills the zeroed row of an item.
using FillRow = std::function<void(int64_t item, std::span<double> row_J)>;

/// A [J, J] fp64 matrix on rank 0, [0, J] elsewhere, of rows that their owners compute at the same time: a rank makes
/// 1/R of them, and beside the matrix only kRowsInFlight rows are in memory. fill() must not throw. Collective.
at::Tensor gather_on_first_rank(Communicator& comm, const RowPartition& items, const FillRow& fill);

/// The rows [n, J] from global row `first` on; called on rank 0 alone. Must not throw.
using MakeRows = std::function<at::Tensor(int64_t first, int64_t n)>;

/// Rank 0 hands every owner its rows [J_r, J], in the dtype of `local_rows`. Collective.
void hand_out_rows(Communicator& comm, const RowPartition& items, const MakeRows& make, const at::Tensor& local_rows);

inline constexpr int64_t kRowsInFlight = 1024;

}  // namespace cllm
