#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "checkpoints/errors.h"
#include "checkpoints/format/files.h"
#include "checkpoints/format/manifest.h"
#include "checkpoints/train_state.h"
#include "dist/communicator/communicator.h"
#include "dist/watch/activity.h"

namespace cllm {

/// A committed checkpoint: a folder step-NNNNNNNNNN whose manifest was read and found in order.
struct CheckpointInfo {
  std::filesystem::path dir;
  int64_t step = 0;
  std::string metadata_json;
  std::shared_ptr<const Manifest> manifest;
};

/// A folder that looks like a checkpoint and cannot be used.
struct Refusal {
  std::filesystem::path dir;
  std::string reason;  // file, expected, found
};

enum class VerifyLevel {
  kQuick,  // manifest, names and sizes of all files
  kFull,   // and the checksum of every block
};

struct SaveOptions {
  std::string run_id =
      "run";          // stands in the manifest and in the names of unfinished folders: letters, digits, '-', '_'
  int keep_last = 2;  // committed checkpoints that stay; at least 2
  int64_t milestone_steps = 0;  // steps that are multiples of it stay for ever; 0: none
  std::string pin =
      "";  // not empty: this step becomes the checkpoint of that name (e.g. "best") and stays as long as it is
  bool refuse_non_finite = false;  // an infinity or NaN in a tensor is an error of the save
  const CheckpointInfo* base =
      nullptr;                   // of a state with only_changes: the last committed checkpoint; must outlive the call
  Files* files = nullptr;        // tests replace the file system calls; must outlive the call
  Activity* activity = nullptr;  // told of the save, for a watchdog; must outlive the call
  double deadline_s = 0;         // that the watchdog gives it; 0: none
};

// All functions that take a Communicator are collective, and an error on one rank is thrown by all with the same
// message. `parent` is the folder that holds the step folders.

/// At the start of a run that will save: creates `parent`, proves that it can be written (CheckpointError 74 if not)
/// and removes what killed saves left. No other run may be saving there.
void prepare(Communicator& comm, const std::filesystem::path& parent, Files* files = nullptr);

/// True if folder `parent` can hold incremental saves: its file system gives files a second name.
bool supports_incremental(Communicator& comm, const std::filesystem::path& parent);

/// Writes and commits a checkpoint by the protocol of checkpoints/README.md, then removes old ones. When it returns,
/// the checkpoint survives power loss. A state with only_changes goes on top of options.base: the new folder shares the
/// files of the whole save. Throws CheckpointError(74), leaving earlier checkpoints as they were.
CheckpointInfo save(Communicator& comm, const std::filesystem::path& parent, int64_t step, const TrainState& state,
                    const SaveOptions& options = {});

/// The newest checkpoint that is in order; damaged ones are passed over and listed in `refused` (may be null). kFull
/// reads every byte, the ranks sharing the files; kQuick leaves the blocks to load(), which verifies those that it
/// reads, but cannot fall back any more. Nothing if there is none at all; CheckpointError(66) if there are some but all
/// are damaged.
std::optional<CheckpointInfo> find_latest(Communicator& comm, const std::filesystem::path& parent,
                                          std::vector<Refusal>* refused, VerifyLevel level = VerifyLevel::kFull);

/// The checkpoint that was saved with SaveOptions::pin = `name`, verified; nothing if the name was never used.
std::optional<CheckpointInfo> find_pinned(Communicator& comm, const std::filesystem::path& parent,
                                          const std::string& name, VerifyLevel level = VerifyLevel::kFull);

/// Fills the tensors of `into` with the rows that they name, whatever the number of ranks that saved, and sets its
/// metadata. Names, dtypes and shapes are agreed upon before anything is changed; tensors of the checkpoint that `into`
/// does not name are skipped. Memory: a few blocks of 4 MiB beyond the tensors. Throws CheckpointError(66).
void load(Communicator& comm, const CheckpointInfo& checkpoint, TrainState& into);

}  // namespace cllm
