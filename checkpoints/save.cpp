#include <ATen/ops/arange.h>

#include <algorithm>
#include <cmath>

#include "checkpoints/agreement.h"
#include "checkpoints/checkpoint.h"
#include "checkpoints/directory.h"
#include "checkpoints/format/commit.h"
#include "checkpoints/format/shard_file.h"

namespace cllm {
namespace {

using std::filesystem::path;

/// What this rank's shard holds: its blocks, and on rank 0 the replicated tensors (as tensors whose rows are all
/// there).
std::vector<ShardedTensor> tensors_of_rank(const TrainState& state, int rank) {
  std::vector<ShardedTensor> tensors = state.tensors;
  for (const ReplicatedTensor& tensor : state.replicated) {
    const int64_t rows = tensor.value.size(0);
    tensors.push_back(
        {tensor.name, rows, rank == 0 ? 0 : rows, rank == 0 ? tensor.value : tensor.value.narrow(0, 0, 0)});
  }
  return tensors;
}

/// What this rank's file of an incremental save holds; of replicated tensors all rows, on rank 0.
std::vector<ShardedTensor> changes_of_rank(const TrainState& state, int rank) {
  std::vector<ShardedTensor> tensors = state.tensors;
  for (const ReplicatedTensor& tensor : state.replicated) {
    const int64_t rows = rank == 0 ? tensor.value.size(0) : 0;
    tensors.push_back(
        {tensor.name, tensor.value.size(0), 0, tensor.value.narrow(0, 0, rows), at::arange(rows, at::kLong)});
  }
  return tensors;
}

void check_finite(const std::vector<ShardedTensor>& tensors) {
  for (const ShardedTensor& tensor :
       tensors) {  // a sum is finite unless an element is not: one pass at the speed of memory
    if (!at::isFloatingType(tensor.rows.scalar_type()) || std::isfinite(tensor.rows.sum().item<double>())) continue;
    throw CheckpointError(CheckpointError::kCannotSave,
                          "tensor \"" + tensor.name + "\" holds a value that is not finite: nothing was saved");
  }
}

ShardRecord write_rank(Files& files, const path& draft, const Communicator& comm, const TrainState& state) {
  const int rank = comm.rank(), world_size = comm.world_size();
  if (!state.only_changes)
    return write_shard(files, draft / shard_name(rank, world_size), tensors_of_rank(state, rank));
  return write_changes(files, draft / changes_name(rank, world_size), changes_of_rank(state, rank));
}

/// The folder that the ranks write to; with the files of the whole save, if this one is incremental.
void make_draft(Files& files, const path& draft, const CheckpointInfo* base) {
  files.remove_tree(draft);
  files.create_directory(draft);
  const size_t num_shared = base == nullptr ? 0 : num_whole_shards(*base->manifest);
  for (size_t n = 0; n < num_shared; ++n) {
    const std::string& name = base->manifest->shards[n].file;
    files.link(base->dir / name, draft / name);
  }
}

/// Everything after the commit. A failure here leaves a good checkpoint; only a pin that cannot be written is an error
/// of the save.
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

bool supports_incremental(Communicator& comm, const path& parent) {
  return !agree_on_rank_0(comm, CheckpointError::kCannotSave, [&] {
            Files files;
            const path probe = parent / "LATEST.tmp", second = parent / "LATEST.tmp2";
            try {
              files.remove_tree(second);
              write_file(files, probe, "probe\n");
              files.link(probe, second);
              for (const path& made : {probe, second}) files.remove_tree(made);
              return std::string("yes");
            } catch (const CheckpointError&) {
              return std::string();
            }
          }).empty();
}

CheckpointInfo save(Communicator& comm, const path& parent, int64_t step, const TrainState& state,
                    const SaveOptions& options) {
  Files real;
  Files& files = options.files != nullptr ? *options.files : real;
  const path final_dir = parent / step_name(step);
  const path draft = draft_of(final_dir, options.run_id);
  const ActivityScope scope(options.activity, "save", step, options.deadline_s);
  CheckpointInfo saved;
  try {
    const CheckpointInfo* const base = state.only_changes ? options.base : nullptr;
    TORCH_CHECK(!state.only_changes || base != nullptr, "an incremental save needs a whole one before it");
    agree_on_rank_0(comm, CheckpointError::kCannotSave, [&] {
      make_draft(files, draft, base);
      return std::string();
    });
    const std::vector<std::string> records = agree(comm, CheckpointError::kCannotSave, [&] {
      if (options.refuse_non_finite) check_finite(state.tensors);
      return to_text(write_rank(files, draft, comm, state));
    });
    const std::string manifest_text = agree_on_rank_0(comm, CheckpointError::kCannotSave, [&] {
      Manifest manifest = base != nullptr ? assemble_manifest(*base->manifest, records) : assemble_manifest(records);
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
  } catch (const CheckpointError& error) {
    if (comm.rank() == 0) {
      std::error_code ignored;
      std::filesystem::remove_all(draft, ignored);  // gives the space back; what stays is removed by the next start
    }
    throw CheckpointError(CheckpointError::kCannotSave, error.what());  // also if what was just saved cannot be read
  }
}

}  // namespace cllm
