#pragma once

// What lies in the folder that holds the checkpoints. Plain functions of one process: rank 0 and the command line use them.

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "checkpoints/checkpoint.h"

namespace cllm {

enum class VerifyLevel {
  kQuick,  // manifest, names and sizes of all files
  kFull,   // and the checksum of every block
};

/// "step-0000000042", and back (nothing for any other name).
std::string step_name(int64_t step);
std::optional<int64_t> step_of_name(const std::string& name);

/// Step folders, newest (largest number) first. Empty if `parent` does not exist.
std::vector<std::filesystem::path> step_folders(const std::filesystem::path& parent);

/// Throws CheckpointError(66): file, expected, found.
CheckpointInfo verify_checkpoint(const std::filesystem::path& dir, VerifyLevel level);

/// The folder that the pin `name` points to; nothing if there is no such pin. Pins are files `<name>.pin` with a folder name.
std::optional<std::filesystem::path> pinned_folder(const std::filesystem::path& parent, const std::string& name);
std::vector<std::string> pin_names(const std::filesystem::path& parent);

struct ListedCheckpoint {
  std::filesystem::path dir;
  int64_t step = 0;
  std::optional<CheckpointInfo> info;  // unset: damaged, see problem
  std::string problem;
  int64_t num_bytes = 0;
  std::vector<std::string> pins;
};
/// Quick verification of every step folder, newest first.
std::vector<ListedCheckpoint> list_checkpoints(const std::filesystem::path& parent);

/// Removes unfinished folders and drafts.
void remove_leftovers(Files& files, const std::filesystem::path& parent);

/// Removes the checkpoints beyond the newest `keep_last` (at least 2) usable ones, except pinned ones.
void remove_old(Files& files, const std::filesystem::path& parent, int keep_last);

}  // namespace cllm
