#include <algorithm>

#include "checkpoints/agreement.h"
#include "checkpoints/checkpoint.h"
#include "checkpoints/commit.h"
#include "checkpoints/directory.h"
#include "checkpoints/shard_file.h"

namespace cllm {
namespace {

using std::filesystem::path;

/// What this rank's shard holds: its blocks, and on rank 0 the replicated tensors (as tensors whose rows are all there).
std::vector<ShardedTensor> tensors_of_rank(const TrainState& state, int rank) {
  std::vector<ShardedTensor> tensors = state.tensors;
  for (const ReplicatedTensor& tensor : state.replicated) {
    const int64_t rows = tensor.value.size(0);
    tensors.push_back({tensor.name, rows, rank == 0 ? 0 : rows, rank == 0 ? tensor.value : tensor.value.narrow(0, 0, 0)});
  }
  return tensors;
}

/// Everything after the commit. A failure here leaves a good checkpoint; only a pin that cannot be written is an error of the save.
void tidy(Files& files, const CheckpointInfo& saved, const SaveOptions& options) {
  const path parent = saved.dir.parent_path();
  const std::string target = saved.dir.filename().string() + "\n";
  if (!options.pin.empty()) replace_file(files, parent / (options.pin + ".pin"), target);
  try {
    replace_file(files, parent / "LATEST", target);
    const Retention retention{std::max(2, options.keep_last), options.milestone_steps};
    for (const path& dir : superfluous(parent, retention)) remove_checkpoint(files, dir);
  } catch (const CheckpointError&) {  // LATEST is a hint, and what could not be removed is tried again at the next save
  }
}

}  // namespace

void prepare(Communicator& comm, const path& parent, Files* files) {
  Files real;
  Files& calls = files != nullptr ? *files : real;
  agree_on_rank_0(comm, CheckpointError::kCannotSave, [&] {
    std::filesystem::create_directories(parent);
    const path probe = parent / "LATEST.tmp";
    write_file(calls, probe, "probe\n");
    calls.sync_file(probe);
    remove_leftovers(calls, parent);
    return std::string();
  });
}

CheckpointInfo save(Communicator& comm, const path& parent, int64_t step, const TrainState& state, const SaveOptions& options) {
  Files real;
  Files& files = options.files != nullptr ? *options.files : real;
  const path final_dir = parent / step_name(step);
  const path draft = draft_of(final_dir, options.run_id);
  const ActivityScope scope(options.activity, "save", step, options.deadline_s);
  CheckpointInfo saved;
  try {
    agree_on_rank_0(comm, CheckpointError::kCannotSave, [&] {
      files.remove_tree(draft);
      files.create_directory(draft);
      return std::string();
    });
    const std::vector<std::string> records = agree(comm, CheckpointError::kCannotSave, [&] {
      return to_text(write_shard(files, draft / shard_name(comm.rank(), comm.world_size()), tensors_of_rank(state, comm.rank())));
    });
    const std::string manifest_text = agree_on_rank_0(comm, CheckpointError::kCannotSave, [&] {
      Manifest manifest = assemble_manifest(records);
      manifest.run_id = options.run_id;
      manifest.step = step;
      manifest.metadata_json = state.metadata_json;
      commit(files, draft, final_dir, manifest);
      saved = verify_checkpoint(final_dir, VerifyLevel::kQuick);
      tidy(files, saved, options);
      return to_text(manifest);
    });
    auto manifest = std::make_shared<const Manifest>(parse_manifest(manifest_text, final_dir));
    return {final_dir, step, manifest->metadata_json, manifest};
  } catch (const CheckpointError&) {
    if (comm.rank() == 0) {
      std::error_code ignored;
      std::filesystem::remove_all(draft, ignored);  // gives the space back; what stays is removed by the next start
    }
    throw;
  }
}

}  // namespace cllm
