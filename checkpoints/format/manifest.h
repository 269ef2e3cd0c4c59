#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace cllm {

constexpr int kManifestVersion = 2;                // written
constexpr int kOldestManifestVersion = 1;          // read
constexpr int64_t kBlockBytes = int64_t{4} << 20;  // of a shard file, per checksum

/// Rows [first_row, first_row + rows) of a tensor, stored contiguously at `offset` bytes of a shard file.
struct TensorPart {
  int shard = 0;
  int64_t first_row = 0, rows = 0, offset = 0;
};

/// Rows of a tensor that replace those of its parts: their numbers, int64 and ascending, at `rows_offset`, their bytes
/// at `offset`.
struct TensorPatch {
  int shard = 0;
  int64_t rows = 0, offset = 0, rows_offset = 0;
};

struct TensorEntry {
  std::string name;
  std::string dtype;           // checkpoints/format/dtype.h
  std::vector<int64_t> shape;  // global
  std::vector<TensorPart> parts;
  std::vector<TensorPatch> patches = {};  // applied in this order; none in a whole save
  /// Bytes of one row.
  int64_t row_bytes() const;
};

struct ShardEntry {
  std::string file;
  int64_t num_bytes = 0;
  std::vector<uint64_t> block_sums;  // XXH3-64 of every kBlockBytes of the file; the last block may be shorter
};

/// The content of manifest.json: what a committed checkpoint consists of.
struct Manifest {
  std::string run_id;
  int64_t step = 0;
  std::string metadata_json;
  std::vector<TensorEntry> tensors;
  std::vector<ShardEntry> shards;  // one per rank that saved whole, then one per rank of the incremental save
  int64_t whole_step = -1;  // of an incremental save: the step of the whole one whose files it holds; -1: it is whole

  bool incremental() const { return whole_step >= 0; }
};

/// What one rank wrote; it travels to rank 0 as text.
struct ShardRecord {
  ShardEntry shard;
  std::vector<TensorEntry> tensors;  // one part each, TensorPart::shard is not set
};
std::string to_text(const ShardRecord& record);

/// Joins the records of all ranks (texts of ShardRecord, in rank order). Throws CheckpointError(74) unless they agree
/// and cover every tensor exactly once.
Manifest assemble_manifest(std::span<const std::string> records);
/// The same for an incremental save on top of the whole save in `base`, which may itself be incremental.
Manifest assemble_manifest(const Manifest& base, std::span<const std::string> records);

/// How many of the files belong to the whole save.
size_t num_whole_shards(const Manifest& manifest);

/// JSON that carries its own checksum, and back. parse_manifest believes nothing: types, ranges, coverage and the
/// checksum are verified before any value is used. Throws CheckpointError(66); `where` names the file in its message.
std::string to_text(const Manifest& manifest);
Manifest parse_manifest(const std::string& text, const std::string& where);

}  // namespace cllm
