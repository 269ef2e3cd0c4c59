#pragma once

#include <filesystem>
#include <string>

namespace cllm {

/// Configuration, checkpoints and result of a run folder, as lines for a terminal.
std::string describe_run(const std::filesystem::path& dir);

/// Step, tensors and files of one checkpoint; quick verification. CheckpointError(66) if it is damaged.
std::string describe_checkpoint(const std::filesystem::path& dir);

}  // namespace cllm
