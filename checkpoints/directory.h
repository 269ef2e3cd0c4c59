#pragma once

// What lies in the folder that holds the checkpoints. Plain functions of one process: rank 0 and the command line use
// them.

#include <ctime>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "checkpoints/checkpoint.h"

namespace cllm {

/// "step-0000000042", and back (nothing for any other name).
std::string step_name(int64_t step);
std::optional<int64_t> step_of_name(const std::string& name);

/// Step folders, newest (largest number) first. Empty if `parent` does not exist.
std::vector<std::filesystem::path> step_folders(const std::filesystem::path& parent);

/// Throws CheckpointError(66): file, expected, found.
CheckpointInfo verify_checkpoint(const std::filesystem::path& dir, VerifyLevel level);

/// The folder that the pin `name` points to; nothing if there is no such pin. Pins are files `<name>.pin` with a folder
/// name.
std::optional<std::filesystem::path> pinned_folder(const std::filesystem::path& parent, const std::string& name);
std::vector<std::string> pin_names(const std::filesystem::path& parent);

struct ListedCheckpoint {
  std::filesystem::path dir;
  int64_t step = 0;
  std::optional<CheckpointInfo> info;  // unset: damaged, see problem
  std::string problem;
  int64_t num_bytes = 0;
  std::time_t committed_at = 0;  // when the manifest was written
  std::vector<std::string> pins;
};
/// Quick verification of every step folder, newest first.
std::vector<ListedCheckpoint> list_checkpoints(const std::filesystem::path& parent);

/// Folders of saves that were killed or are under way.
std::vector<std::filesystem::path> unfinished_saves(const std::filesystem::path& parent);

/// Removes unfinished folders and drafts.
void remove_leftovers(Files& files, const std::filesystem::path& parent);

struct Retention {
  int keep_last = 2;            // newest usable checkpoints that stay; at least 1
  int64_t milestone_steps = 0;  // multiples of it stay; 0: none
};
/// The checkpoints that `retention` lets go, newest first: never a pinned one, never the newest usable one; and if that
/// one is incremental, never all that share no file with it, so that one damaged block cannot spoil everything.
std::vector<std::filesystem::path> superfluous(const std::filesystem::path& parent, const Retention& retention);

/// Removes a checkpoint folder; a kill meanwhile leaves no half checkpoint.
void remove_checkpoint(Files& files, const std::filesystem::path& dir);

}  // namespace cllm
