#include "launch/run/inspect_run.h"

#include <cstdio>
#include <ctime>
#include <fstream>
#include <sstream>

#include "checkpoints/compare.h"
#include "checkpoints/directory.h"
#include "launch/run/run_folder.h"

namespace cllm {
namespace {

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string out;
  for (const int64_t size : shape) out += (out.empty() ? "" : " x ") + std::to_string(size);
  return out;
}

template <typename... Values>
std::string line(const char* format, Values... values) {
  char text[256];
  std::snprintf(text, sizeof text, format, values...);
  return text;
}

std::string utc(std::time_t time) {
  if (time == 0) return "-";
  char text[32];
  std::tm parts{};
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", gmtime_r(&time, &parts));
  return text;
}

/// "complete", or "refused: " and the reason.
std::string state_of(const ListedCheckpoint& listed, bool full) {
  if (!listed.info) return "refused: " + listed.problem;
  try {
    if (full) verify_checkpoint(listed.dir, VerifyLevel::kFull);
    const Manifest& manifest = *listed.info->manifest;
    return manifest.incremental() ? "complete, shares files with step " + std::to_string(manifest.whole_step)
                                  : "complete";
  } catch (const CheckpointError& error) {
    return std::string("refused: ") + error.what();
  }
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

std::string describe_checkpoints(const std::filesystem::path& parent, bool full) {
  std::ostringstream out;
  out << line("%12s %12s  %-19s %5s  %-8s %s\n", "step", "size", "committed (UTC)", "files", "pins", "state");
  for (const ListedCheckpoint& listed : list_checkpoints(parent)) {
    std::string pins;
    for (const std::string& pin : listed.pins) pins += (pins.empty() ? "" : ",") + pin;
    const size_t num_files = listed.info ? listed.info->manifest->shards.size() : 0;
    out << line("%12lld %12s  %-19s %5zu  %-8s ", static_cast<long long>(listed.step),
                mebibytes(listed.num_bytes).c_str(), utc(listed.committed_at).c_str(), num_files,
                pins.empty() ? "-" : pins.c_str())
        << state_of(listed, full) << '\n';
  }
  for (const std::filesystem::path& draft : unfinished_saves(parent))
    out << "unfinished, removed by the next start: " << draft.string() << '\n';
  return out.str();
}

std::string describe_difference(const std::filesystem::path& first, const std::filesystem::path& second, bool& equal) {
  const CheckpointInfo a = verify_checkpoint(first, VerifyLevel::kQuick),
                       b = verify_checkpoint(second, VerifyLevel::kQuick);
  std::ostringstream out;
  equal = a.metadata_json == b.metadata_json;
  out << line("%-28s %12s %12s %16s\n", "tensor", "rows", "rows differ", "max |difference|");
  for (const TensorDifference& tensor : compare_checkpoints(a, b)) {
    equal = equal && tensor.other.empty() && tensor.changed == 0;
    out << line("%-28s %12lld ", tensor.name.c_str(), static_cast<long long>(tensor.rows));
    if (tensor.other.empty()) out << line("%12lld %16.9g\n", static_cast<long long>(tensor.changed), tensor.largest);
    if (!tensor.other.empty()) out << "  " << tensor.other << '\n';
  }
  if (a.metadata_json != b.metadata_json)
    out << "metadata: " << a.metadata_json << "\n      and " << b.metadata_json << '\n';
  return out.str();
}

std::string describe_checkpoint(const std::filesystem::path& dir) {
  const CheckpointInfo info = verify_checkpoint(dir, VerifyLevel::kQuick);
  std::ostringstream out;
  out << "step " << info.step << ", written by " << num_whole_shards(*info.manifest) << " ranks";
  if (info.manifest->incremental())
    out << "; the rows changed since step " << info.manifest->whole_step << " stand in files of their own";
  out << '\n';
  for (const TensorEntry& tensor : info.manifest->tensors) {
    out << "  " << tensor.name << "  " << tensor.dtype << "  " << shape_text(tensor.shape) << '\n';
  }
  for (const ShardEntry& shard : info.manifest->shards)
    out << "  " << shard.file << "  " << mebibytes(shard.num_bytes) << '\n';
  out << "  " << info.metadata_json << '\n';
  return out.str();
}

}  // namespace cllm
