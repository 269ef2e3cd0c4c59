#include <nlohmann/json.hpp>

#include "checkpoints/agreement.h"
#include "checkpoints/checkpoint.h"
#include "checkpoints/directory.h"
#include "checkpoints/format/shard_file.h"

namespace cllm {
namespace {

using nlohmann::json;
using std::filesystem::path;

/// Rank 0 reads and checks the manifest, then (kFull) every rank verifies its share of the shards. The reason why the
/// folder cannot be used, on all ranks; "" if it can, and then `info` is set.
std::string verify_together(Communicator& comm, const path& dir, VerifyLevel level, CheckpointInfo& info) {
  try {
    const std::string text = agree_on_rank_0(comm, CheckpointError::kUnusable, [&] {
      return to_text(*verify_checkpoint(dir, VerifyLevel::kQuick).manifest);
    });
    auto manifest = std::make_shared<const Manifest>(parse_manifest(text, dir));
    agree(comm, CheckpointError::kUnusable, [&] {
      const size_t num_files = level == VerifyLevel::kFull ? manifest->shards.size() : 0;
      for (size_t n = comm.rank(); n < num_files; n += comm.world_size())
        ShardReader(dir, manifest->shards[n]).verify();
      return std::string();
    });
    info = {dir, manifest->step, manifest->metadata_json, manifest};
    return "";
  } catch (const CheckpointError& error) {
    return error.what();
  }
}

/// Folder names as rank 0 sees them, on all ranks.
std::vector<path> shared_step_folders(Communicator& comm, const path& parent) {
  const std::string names = agree_on_rank_0(comm, CheckpointError::kUnusable, [&] {
    json list = json::array();
    for (const path& dir : step_folders(parent)) list.push_back(dir.filename().string());
    return list.dump();
  });
  std::vector<path> folders;
  for (const json& name : json::parse(names)) folders.push_back(parent / name.get<std::string>());
  return folders;
}

}  // namespace

std::optional<CheckpointInfo> find_latest(Communicator& comm, const path& parent, std::vector<Refusal>* refused,
                                          VerifyLevel level) {
  std::string reasons;
  for (const path& dir : shared_step_folders(comm, parent)) {
    CheckpointInfo info;
    const std::string reason = verify_together(comm, dir, level, info);
    if (reason.empty()) return info;
    if (refused != nullptr) refused->push_back({dir, reason});
    reasons += "\n  " + reason;
  }
  if (reasons.empty()) return std::nullopt;
  throw CheckpointError(
      CheckpointError::kUnusable,
      parent.string() +
          " holds checkpoints, but none can be used; start afresh in another folder, or restore one:" + reasons);
}

std::optional<CheckpointInfo> find_pinned(Communicator& comm, const path& parent, const std::string& name,
                                          VerifyLevel level) {
  const std::string target = agree_on_rank_0(comm, CheckpointError::kUnusable, [&] {
    const std::optional<path> folder = pinned_folder(parent, name);
    return folder ? folder->filename().string() : std::string();
  });
  if (target.empty()) return std::nullopt;
  CheckpointInfo info;
  const std::string reason = verify_together(comm, parent / target, level, info);
  if (!reason.empty())
    throw CheckpointError(CheckpointError::kUnusable, "the checkpoint \"" + name + "\" cannot be used: " + reason);
  return info;
}

}  // namespace cllm
