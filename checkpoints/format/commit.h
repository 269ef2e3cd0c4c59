#pragma once

#include <filesystem>
#include <string>

#include "checkpoints/format/files.h"
#include "checkpoints/format/manifest.h"

namespace cllm {

/// "shard-00001-of-00004.h5"
std::string shard_name(int number, int num_shards);

/// "changes-00001-of-00004.h5", of an incremental save
std::string changes_name(int number, int num_shards);

/// The folder that a checkpoint is written to before it has its name.
std::filesystem::path draft_of(const std::filesystem::path& final_dir, const std::string& run_id);

/// The one commit point: writes the manifest beside the shards, makes all of it durable, and gives the draft its final
/// name. A folder of the same step (saved before a fallback) is swapped out and removed.
void commit(Files& files, const std::filesystem::path& draft, const std::filesystem::path& final_dir,
            const Manifest& manifest);

}  // namespace cllm
