#include "checkpoints/reshard.h"

#include <algorithm>

#include "checkpoints/compare.h"
#include "checkpoints/directory.h"
#include "checkpoints/format/commit.h"
#include "checkpoints/format/dtype.h"
#include "checkpoints/row_reader.h"
#include "dist/row_partition.h"

namespace cllm {
namespace {

using std::filesystem::path;

/// Rows of `tensor` that go into shard `number`, read piece by piece.
ShardPart part_of(RowReader& reader, const TensorEntry& tensor, int number, int num_shards) {
  const RowPartition partition(tensor.shape[0], num_shards);
  const int64_t first_row = partition.begin(number), rows = partition.size(number);
  std::vector<int64_t> sizes = tensor.shape;
  sizes[0] = rows;
  const auto produce = [&reader, &tensor, first_row, rows](const ShardPart::Append& append) {
    const int64_t step = rows_at_a_time(tensor);
    std::vector<std::byte> bytes(static_cast<size_t>(std::min(step, rows) * tensor.row_bytes()));
    for (int64_t row = 0; row < rows; row += step) {
      const int64_t count = std::min(step, rows - row);
      reader.read(tensor, first_row + row, count, bytes.data());
      append(bytes.data(), count * tensor.row_bytes());
    }
  };
  return {tensor.name, find_dtype(tensor.dtype)->type, sizes, tensor.shape[0], first_row, produce};
}

void write_shards(Files& files, const CheckpointInfo& from, const path& draft, int num_shards,
                  std::vector<std::string>& records) {
  RowReader reader(from);
  for (int number = 0; number < num_shards; ++number) {
    std::vector<ShardPart> parts;
    for (const TensorEntry& tensor : from.manifest->tensors)
      parts.push_back(part_of(reader, tensor, number, num_shards));
    records.push_back(to_text(write_shard(files, draft / shard_name(number, num_shards), parts)));
  }
}

}  // namespace

CheckpointInfo reshard(const CheckpointInfo& from, const path& parent, int num_shards, Files* files) {
  Files real;
  Files& calls = files != nullptr ? *files : real;
  const path final_dir = parent / step_name(from.step), draft = draft_of(final_dir, "reshard");
  std::error_code error;
  std::filesystem::create_directories(parent, error);
  if (error)
    throw CheckpointError(CheckpointError::kCannotSave, parent.string() + ": cannot create: " + error.message());
  if (std::filesystem::equivalent(parent, from.dir.parent_path(), error)) {
    throw CheckpointError(CheckpointError::kCannotSave,
                          parent.string() + " holds the checkpoint itself: name another folder");
  }
  try {
    calls.remove_tree(draft);
    calls.create_directory(draft);
    std::vector<std::string> records;
    write_shards(calls, from, draft, num_shards, records);
    Manifest manifest = assemble_manifest(records);
    manifest.run_id = from.manifest->run_id;
    manifest.step = from.step;
    manifest.metadata_json = from.metadata_json;
    commit(calls, draft, final_dir, manifest);
  } catch (const CheckpointError&) {
    std::filesystem::remove_all(draft, error);
    throw;
  }
  const CheckpointInfo made = verify_checkpoint(final_dir, VerifyLevel::kQuick);
  if (content_digest(made) != content_digest(from)) {
    throw CheckpointError(CheckpointError::kCannotSave,
                          final_dir.string() + ": its rows are not those of " + from.dir.string());
  }
  return made;
}

}  // namespace cllm
