#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <vector>

#include "checkpoints/format/descriptor.h"
#include "checkpoints/format/files.h"
#include "checkpoints/format/manifest.h"
#include "checkpoints/train_state.h"

namespace cllm {

/// Rows of one tensor that go into a shard, and where their bytes come from.
struct ShardPart {
  using Append = std::function<void(const std::byte* data, int64_t num_bytes)>;
  std::string name;
  at::ScalarType type;
  std::vector<int64_t> sizes;  // [rows, ...]
  int64_t global_rows = 0, first_row = 0;
  std::function<void(const Append&)> produce;  // hands over all bytes, in order, in pieces of any size
};
/// Rows in memory; the tensor is kept.
ShardPart part_of(const ShardedTensor& tensor);

/// Writes the parts as an HDF5 file (checkpoints/format/hdf5_layout.h), makes its content durable and returns where
/// every row lies and the checksums of the file. Throws CheckpointError(74).
ShardRecord write_shard(Files& files, const std::filesystem::path& path, const std::vector<ShardPart>& parts);
ShardRecord write_shard(Files& files, const std::filesystem::path& path, const std::vector<ShardedTensor>& tensors);

/// The same for rows that are scattered (ShardedTensor::row_numbers): their numbers go into datasets of their own,
/// "rows.0" and so on.
ShardRecord write_changes(Files& files, const std::filesystem::path& path, const std::vector<ShardedTensor>& tensors);

/// Reads bytes of a shard file and verifies the checksum of every block that it touches. The file's own structure is
/// never interpreted: positions come from the manifest. Throws CheckpointError(66) with file, expected and found.
class ShardReader {
 public:
  ShardReader(const std::filesystem::path& directory, const ShardEntry& entry);

  /// `offset + num_bytes` must lie inside the file.
  void read(int64_t offset, int64_t num_bytes, std::byte* out);
  /// Reads and verifies the whole file.
  void verify();

 private:
  int64_t block_size(int64_t block) const;
  void read_block(int64_t block, std::byte* out);
  const std::byte* cached_block(int64_t block);

  std::filesystem::path path_;
  const ShardEntry& entry_;
  Descriptor file_;
  std::vector<std::byte> buffer_;
  int64_t buffered_ = -1;  // block in buffer_
};

}  // namespace cllm
