#include "checkpoints/directory.h"

#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <set>
#include <sstream>

#include "checkpoints/format/shard_file.h"

namespace cllm {
namespace {

using std::filesystem::path;

constexpr const char* kStepPrefix = "step-";
constexpr const char* kDraftMark = ".tmp";
constexpr const char* kPinSuffix = ".pin";

/// Names in a folder, sorted; empty if it does not exist. Throws CheckpointError(66) if it cannot be read.
std::vector<std::string> names_in(const path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    names.push_back(entry->path().filename());
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    throw CheckpointError(CheckpointError::kUnusable, folder.string() + ": cannot list: " + error.message());
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string read_text(const path& file) {
  std::ifstream stream(file, std::ios::binary);
  std::ostringstream text;
  text << stream.rdbuf();
  if (!stream || !text) throw CheckpointError(CheckpointError::kUnusable, file.string() + ": cannot read, or empty");
  return text.str();
}

void check_files(const path& dir, const Manifest& manifest) {
  std::set<std::string> expected = {"manifest.json"};
  for (const ShardEntry& shard : manifest.shards) {
    expected.insert(shard.file);
    std::error_code error;
    const auto found = std::filesystem::file_size(dir / shard.file, error);
    if (error || found != static_cast<uintmax_t>(shard.num_bytes)) {
      throw CheckpointError(CheckpointError::kUnusable, (dir / shard.file).string() + ": expected " +
                                                            std::to_string(shard.num_bytes) + " bytes, found " +
                                                            (error ? error.message() : std::to_string(found)));
    }
  }
  for (const std::string& name : names_in(dir)) {
    if (!expected.contains(name)) {
      throw CheckpointError(CheckpointError::kUnusable,
                            (dir / name).string() + ": expected no such file, the manifest does not list it");
    }
  }
}

}  // namespace

std::string step_name(int64_t step) {
  std::string digits = std::to_string(step);
  return kStepPrefix + std::string(digits.size() < 10 ? 10 - digits.size() : 0, '0') + digits;
}

std::optional<int64_t> step_of_name(const std::string& name) {
  if (!name.starts_with(kStepPrefix)) return std::nullopt;
  const char* begin = name.data() + std::string(kStepPrefix).size();
  const char* end = name.data() + name.size();
  int64_t step = 0;
  const auto [stop, error] = std::from_chars(begin, end, step);
  if (error != std::errc() || stop != end || step_name(step) != name) return std::nullopt;
  return step;
}

std::vector<path> step_folders(const path& parent) {
  std::vector<std::pair<int64_t, path>> found;
  for (const std::string& name : names_in(parent)) {
    if (const auto step = step_of_name(name)) found.emplace_back(*step, parent / name);
  }
  std::sort(found.rbegin(), found.rend());
  std::vector<path> folders;
  for (const auto& [step, folder] : found) folders.push_back(folder);
  return folders;
}

CheckpointInfo verify_checkpoint(const path& dir, VerifyLevel level) {
  const path file = dir / "manifest.json";
  auto manifest = std::make_shared<const Manifest>(parse_manifest(read_text(file), file));
  if (step_name(manifest->step) != dir.filename()) {
    throw CheckpointError(CheckpointError::kUnusable,
                          file.string() + ": expected the step of its folder, found " + std::to_string(manifest->step));
  }
  check_files(dir, *manifest);
  if (level == VerifyLevel::kFull) {
    for (const ShardEntry& shard : manifest->shards) ShardReader(dir, shard).verify();
  }
  return {dir, manifest->step, manifest->metadata_json, manifest};
}

std::optional<path> pinned_folder(const path& parent, const std::string& name) {
  const path pin = parent / (name + kPinSuffix);
  if (!std::filesystem::exists(pin)) return std::nullopt;
  std::string target = read_text(pin);
  if (target.ends_with('\n')) target.pop_back();
  if (!step_of_name(target))
    throw CheckpointError(CheckpointError::kUnusable,
                          pin.string() + ": expected a step folder, found \"" + target + "\"");
  return parent / target;
}

std::vector<std::string> pin_names(const path& parent) {
  std::vector<std::string> names;
  for (const std::string& name : names_in(parent)) {
    if (name.ends_with(kPinSuffix)) names.push_back(path(name).stem());
  }
  return names;
}

std::vector<ListedCheckpoint> list_checkpoints(const path& parent) {
  std::vector<ListedCheckpoint> list;
  for (const path& dir : step_folders(parent)) {
    ListedCheckpoint listed;
    listed.dir = dir;
    listed.step = *step_of_name(dir.filename());
    struct stat status {};
    if (::stat((dir / "manifest.json").c_str(), &status) == 0) listed.committed_at = status.st_mtime;
    try {
      listed.info = verify_checkpoint(dir, VerifyLevel::kQuick);
      for (const ShardEntry& shard : listed.info->manifest->shards) listed.num_bytes += shard.num_bytes;
    } catch (const CheckpointError& error) {
      listed.problem = error.what();
    }
    list.push_back(std::move(listed));
  }
  for (const std::string& name : pin_names(parent)) {
    const std::optional<path> target = pinned_folder(parent, name);
    for (ListedCheckpoint& listed : list) {
      if (listed.dir == target) listed.pins.push_back(name);
    }
  }
  return list;
}

std::vector<path> unfinished_saves(const path& parent) {
  std::vector<path> out;
  for (const std::string& name : names_in(parent)) {
    if (name.starts_with(kStepPrefix) && name.find(kDraftMark) != std::string::npos) out.push_back(parent / name);
  }
  return out;
}

void remove_leftovers(Files& files, const path& parent) {
  for (const path& draft : unfinished_saves(parent)) files.remove_tree(draft);
  for (const std::string& name : names_in(parent)) {
    const bool of_file =
        name.ends_with(std::string(kPinSuffix) + kDraftMark) || name == std::string("LATEST") + kDraftMark;
    if (of_file) files.remove_tree(parent / name);
  }
}

std::vector<path> superfluous(const path& parent, const Retention& retention) {
  const int keep = std::max(1, retention.keep_last);
  std::vector<path> out;
  int usable = 0;
  int64_t shared =
      -1;  // the whole save whose files the newest one shares, as long as no other kept one is independent of them
  for (const ListedCheckpoint& listed : list_checkpoints(parent)) {
    const bool milestone = retention.milestone_steps > 0 && listed.step % retention.milestone_steps == 0;
    const int64_t whole_step = !listed.info                           ? -1
                               : listed.info->manifest->incremental() ? listed.info->manifest->whole_step
                                                                      : listed.step;
    if (usable == 0 && listed.info && listed.info->manifest->incremental()) shared = whole_step;
    const bool independent = listed.info && shared >= 0 && whole_step != shared;
    const bool stays = usable < keep || !listed.pins.empty() || milestone || independent;
    if (!stays) out.push_back(listed.dir);
    if (stays && independent) shared = -1;
    usable += listed.info.has_value();
  }
  return out;
}

void remove_checkpoint(Files& files, const path& dir) {
  const path doomed = dir.string() + kDraftMark + "-removed";
  files.rename(dir, doomed);
  files.remove_tree(doomed);
}

}  // namespace cllm
