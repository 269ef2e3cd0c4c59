#pragma once

#include <filesystem>

#include "checkpoints/checkpoint.h"

namespace cllm {

/// Writes the content of a checkpoint into folder `parent` as the same step, every tensor split evenly over
/// `num_shards` files, by the commit protocol; any number of ranks loads it, like the original. One process; streams,
/// so that memory is a few blocks of 4 MiB whatever the size. Reads both once more to prove that every row is the same.
/// Throws CheckpointError.
CheckpointInfo reshard(const CheckpointInfo& from, const std::filesystem::path& parent, int num_shards,
                       Files* files = nullptr);

}  // namespace cllm
