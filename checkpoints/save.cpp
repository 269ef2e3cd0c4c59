#include <algorithm>

#include "checkpoints/agreement.h"
#include "checkpoints/checkpoint.h"
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

std::string shard_name(int rank, int world_size) {
  char name[40];
  std::snprintf(name, sizeof(name), "shard-%05d-of-%05d.h5", rank, world_size);
  return name;
}

/// The one commit point: the draft gets its final name. A folder of the same step (saved before a fallback) is swapped out.
void commit(Files& files, const path& draft, const path& final_dir) {
  if (!std::filesystem::exists(final_dir)) {
    files.rename(draft, final_dir);
  } else if (!files.exchange(draft, final_dir)) {
    const path replaced = final_dir.string() + ".tmp-replaced";
    files.remove_tree(replaced);
    files.rename(final_dir, replaced);
    files.rename(draft, final_dir);
    files.remove_tree(replaced);
  }
  files.sync_directory(final_dir.parent_path());
  files.remove_tree(draft);  // holds the old folder after a swap
}

void write_manifest(Files& files, const path& draft, const Manifest& manifest) {
  write_file(files, draft / "manifest.json", to_text(manifest));
  files.sync_file(draft / "manifest.json");
  files.sync_directory(draft);
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
  const path draft = final_dir.string() + ".tmp-" + options.run_id;
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
      write_manifest(files, draft, manifest);
      commit(files, draft, final_dir);
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
