#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <vector>

#include "checkpoints/checkpoint.h"
#include "checkpoints/format/shard_file.h"

namespace cllm {

/// Reads rows of a committed checkpoint by their global numbers, from whichever files hold them; the checksum of every
/// block that it touches is verified. Memory: a few blocks of 4 MiB, however many files there are. Throws
/// CheckpointError(66).
class RowReader {
 public:
  explicit RowReader(CheckpointInfo checkpoint) : checkpoint_(std::move(checkpoint)) {}

  /// Rows [first_row, first_row + rows) of a tensor of the manifest, rows * row_bytes() bytes.
  void read(const TensorEntry& tensor, int64_t first_row, int64_t rows, std::byte* out);

 private:
  ShardReader& shard(int number);
  void apply(const TensorEntry& tensor, const TensorPatch& patch, int64_t first_row, int64_t end_row, std::byte* out);
  const std::vector<int64_t>& fences(const TensorEntry& tensor, const TensorPatch& patch);
  std::vector<int64_t> numbers(const TensorPatch& patch, int64_t fence);

  CheckpointInfo checkpoint_;
  std::list<std::pair<int, ShardReader>> open_;  // the last used first
  std::map<std::pair<int, int64_t>, std::vector<int64_t>>
      fences_;  // by shard and rows_offset: every kFence-th row number
};

/// The tensor of that name, null if there is none.
const TensorEntry* find_tensor(const Manifest& manifest, const std::string& name);

/// Rows that are handled at a time when a tensor is streamed: about one block of bytes.
int64_t rows_at_a_time(const TensorEntry& tensor);

}  // namespace cllm
