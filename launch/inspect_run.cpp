#include "launch/inspect_run.h"

#include <fstream>
#include <sstream>

#include "checkpoints/directory.h"
#include "launch/run_folder.h"

namespace cllm {
namespace {

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string out;
  for (const int64_t size : shape) out += (out.empty() ? "" : " x ") + std::to_string(size);
  return out;
}

std::string mebibytes(int64_t bytes) { return std::to_string((bytes + (1 << 19)) >> 20) + " MiB"; }

}  // namespace

std::string describe_run(const std::filesystem::path& dir) {
  const RunFolder folder(dir);
  std::ostringstream out;
  out << to_toml(folder.load_config()) << "\ncheckpoints\n";
  for (const ListedCheckpoint& checkpoint : list_checkpoints(folder.checkpoints())) {
    out << "  step " << checkpoint.step << "  " << mebibytes(checkpoint.num_bytes);
    for (const std::string& pin : checkpoint.pins) out << "  (" << pin << ")";
    if (!checkpoint.info) out << "  damaged: " << checkpoint.problem;
    out << '\n';
  }
  if (std::ifstream result(folder.result()); result) out << "\nresult\n" << result.rdbuf();
  return out.str();
}

std::string describe_checkpoint(const std::filesystem::path& dir) {
  const CheckpointInfo info = verify_checkpoint(dir, VerifyLevel::kQuick);
  std::ostringstream out;
  out << "step " << info.step << ", written by " << info.manifest->shards.size() << " ranks\n";
  for (const TensorEntry& tensor : info.manifest->tensors) {
    out << "  " << tensor.name << "  " << tensor.dtype << "  " << shape_text(tensor.shape) << '\n';
  }
  for (const ShardEntry& shard : info.manifest->shards) out << "  " << shard.file << "  " << mebibytes(shard.num_bytes) << '\n';
  out << "  " << info.metadata_json << '\n';
  return out.str();
}

}  // namespace cllm
