#include "checkpoints/row_reader.h"

#include <algorithm>

namespace cllm {
namespace {

constexpr size_t kMaxOpenShards = 4;  // each keeps a block; rows are read in order, so more would not help

}  // namespace

ShardReader& RowReader::shard(int number) {
  const auto known = std::find_if(open_.begin(), open_.end(), [&](const auto& open) { return open.first == number; });
  if (known != open_.end()) {
    open_.splice(open_.begin(), open_, known);
    return open_.front().second;
  }
  if (open_.size() == kMaxOpenShards) open_.pop_back();
  open_.emplace_front(number, ShardReader(checkpoint_.dir, checkpoint_.manifest->shards[number]));
  return open_.front().second;
}

void RowReader::read(const TensorEntry& tensor, int64_t first_row, int64_t rows, std::byte* out) {
  const int64_t row_bytes = tensor.row_bytes(), end_row = first_row + rows;
  if (row_bytes == 0) return;
  for (const TensorPart& part : tensor.parts) {
    const int64_t begin = std::max(part.first_row, first_row);
    const int64_t end = std::min(part.first_row + part.rows, end_row);
    if (begin >= end) continue;
    shard(part.shard).read(part.offset + (begin - part.first_row) * row_bytes, (end - begin) * row_bytes,
                           out + (begin - first_row) * row_bytes);
  }
}

const TensorEntry* find_tensor(const Manifest& manifest, const std::string& name) {
  const auto found = std::find_if(manifest.tensors.begin(), manifest.tensors.end(), [&](const TensorEntry& entry) { return entry.name == name; });
  return found == manifest.tensors.end() ? nullptr : &*found;
}

int64_t rows_at_a_time(const TensorEntry& tensor) { return std::max<int64_t>(1, kBlockBytes / std::max<int64_t>(1, tensor.row_bytes())); }

}  // namespace cllm
