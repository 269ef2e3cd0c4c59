#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

namespace cllm {

/// A block of consecutive rows of a tensor [global_rows, ...] whose rows are spread over the ranks. On load `rows` is
/// filled, and the blocks of the ranks may be any: they need not cover the tensor, and may overlap.
struct ShardedTensor {
  std::string name;
  int64_t global_rows = 0;
  int64_t first_row = 0;
  at::Tensor rows;  // [local rows, ...], at least one dimension
  /// Of an incremental save: `rows` are not consecutive but have these global numbers, int64 [rows], ascending, on the
  /// CPU. Tensors may share it.
  at::Tensor row_numbers = {};
};

/// A tensor that is equal on all ranks: saved by rank 0, loaded by all.
struct ReplicatedTensor {
  std::string name;
  at::Tensor value;  // at least one dimension
};

/// All that a run needs to go on. Tensors are plain views of the owner's memory. On save the blocks of the ranks must
/// cover every sharded tensor once, in rank order.
struct TrainState {
  std::vector<ShardedTensor> tensors;
  std::vector<ReplicatedTensor> replicated;
  bool only_changes =
      false;  // of an incremental save: sharded tensors hold the rows that may differ from the last whole save
  std::string metadata_json = "{}";  // a JSON object of scalars; the same on all ranks (rank 0's is stored)
};

}  // namespace cllm
