#include "checkpoints/row_reader.h"

#include <algorithm>
#include <cstring>

namespace cllm {
namespace {

constexpr size_t kMaxOpenShards = 4;  // each keeps a block; rows are read in order, so more would not help
constexpr int64_t kFence = 1 << 16;   // row numbers of a patch that are read at a time: 512 KiB

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
    shard(part.shard)
        .read(part.offset + (begin - part.first_row) * row_bytes, (end - begin) * row_bytes,
              out + (begin - first_row) * row_bytes);
  }
  for (const TensorPatch& patch : tensor.patches) apply(tensor, patch, first_row, end_row, out);
}

/// Row numbers [fence * kFence, (fence + 1) * kFence) of the patch.
std::vector<int64_t> RowReader::numbers(const TensorPatch& patch, int64_t fence) {
  const int64_t begin = fence * kFence;
  std::vector<int64_t> out(static_cast<size_t>(std::min(kFence, patch.rows - begin)));
  shard(patch.shard)
      .read(patch.rows_offset + begin * 8, static_cast<int64_t>(out.size()) * 8,
            reinterpret_cast<std::byte*>(out.data()));
  return out;
}

/// Believes nothing: the numbers must rise and be rows of the tensor.
const std::vector<int64_t>& RowReader::fences(const TensorEntry& tensor, const TensorPatch& patch) {
  const auto [known, first_use] = fences_.try_emplace({patch.shard, patch.rows_offset});
  if (!first_use) return known->second;
  int64_t last = -1;
  for (int64_t fence = 0; fence * kFence < patch.rows; ++fence) {
    const std::vector<int64_t> piece = numbers(patch, fence);
    known->second.push_back(piece.front());
    for (const int64_t row : piece) {
      if (row <= last || row >= tensor.shape[0]) {
        throw CheckpointError(CheckpointError::kUnusable,
                              (checkpoint_.dir / checkpoint_.manifest->shards[patch.shard].file).string() +
                                  ": expected rising row numbers of tensor \"" + tensor.name + "\", found " +
                                  std::to_string(row) + " after " + std::to_string(last));
      }
      last = row;
    }
  }
  return known->second;
}

void RowReader::apply(const TensorEntry& tensor, const TensorPatch& patch, int64_t first_row, int64_t end_row,
                      std::byte* out) {
  const std::vector<int64_t>& starts = fences(tensor, patch);
  const int64_t row_bytes = tensor.row_bytes(), piece = rows_at_a_time(tensor);
  const auto after = std::upper_bound(starts.begin(), starts.end(), first_row) - starts.begin();
  std::vector<std::byte> bytes;
  for (int64_t fence = std::max<int64_t>(0, after - 1);
       fence < static_cast<int64_t>(starts.size()) && starts[fence] < end_row; ++fence) {
    const std::vector<int64_t> rows = numbers(patch, fence);
    const int64_t begin = std::lower_bound(rows.begin(), rows.end(), first_row) - rows.begin();
    const int64_t end = std::lower_bound(rows.begin(), rows.end(), end_row) - rows.begin();
    for (int64_t n = begin; n < end; n += piece) {
      const int64_t count = std::min(piece, end - n);
      bytes.resize(static_cast<size_t>(count * row_bytes));
      shard(patch.shard).read(patch.offset + (fence * kFence + n) * row_bytes, count * row_bytes, bytes.data());
      for (int64_t k = 0; k < count; ++k) {
        std::memcpy(out + (rows[n + k] - first_row) * row_bytes, bytes.data() + k * row_bytes,
                    static_cast<size_t>(row_bytes));
      }
    }
  }
}

const TensorEntry* find_tensor(const Manifest& manifest, const std::string& name) {
  const auto found = std::find_if(manifest.tensors.begin(), manifest.tensors.end(),
                                  [&](const TensorEntry& entry) { return entry.name == name; });
  return found == manifest.tensors.end() ? nullptr : &*found;
}

int64_t rows_at_a_time(const TensorEntry& tensor) {
  return std::max<int64_t>(1, kBlockBytes / std::max<int64_t>(1, tensor.row_bytes()));
}

}  // namespace cllm
