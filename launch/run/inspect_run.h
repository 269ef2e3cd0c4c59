#pragma once

#include <filesystem>
#include <string>

namespace cllm {

/// Configuration, checkpoints and result of a run folder, as lines for a terminal.
std::string describe_run(const std::filesystem::path& dir);

/// A table of all checkpoints in a folder: step, size, time, pins, and whether each can be used or why not; then
/// unfinished saves. Quick verification; `full` reads every byte.
std::string describe_checkpoints(const std::filesystem::path& parent, bool full);

/// Tensor by tensor: rows that differ and the largest difference of an element. Sets `equal`.
std::string describe_difference(const std::filesystem::path& first, const std::filesystem::path& second, bool& equal);

/// Step, tensors and files of one checkpoint; quick verification. CheckpointError(66) if it is damaged.
std::string describe_checkpoint(const std::filesystem::path& dir);

}  // namespace cllm
