#include "launch/supervision/failpoint_files.h"

#include "checkpoints/directory.h"
#include "checkpoints/errors.h"

namespace cllm {
namespace {

bool is_shard(const std::filesystem::path& path) { return path.extension() == ".h5"; }

}  // namespace

void FailpointFiles::at(std::string_view name) {
  try {
    failpoints_.at(name);
  } catch (const std::runtime_error& error) {
    throw CheckpointError(CheckpointError::kCannotSave, error.what());
  }
}

void FailpointFiles::create_directory(const Path& path) {
  at("save.before_draft");
  Files::create_directory(path);
}

Descriptor FailpointFiles::create_file(const Path& path) {
  if (is_shard(path)) at("save.before_shard");
  if (path.filename() == "manifest.json") at("save.before_manifest");
  return Files::create_file(path);
}

void FailpointFiles::append(const Descriptor& file, const Path& path, std::string_view bytes) {
  Files::append(file, path, bytes);
  if (is_shard(path)) at("save.while_writing");
}

void FailpointFiles::sync_file(const Path& path) {
  if (path.filename() == "manifest.json") at("save.before_sync_manifest");
  if (is_shard(path)) at("save.before_sync_shard");
  Files::sync_file(path);
  if (is_shard(path)) at("save.after_sync_shard");
}

void FailpointFiles::sync_directory(const Path& path) {
  const bool draft = path.filename().string().find(".tmp") != std::string::npos;
  at(draft ? "save.before_sync_folder" : "save.before_sync_parent");
  Files::sync_directory(path);
}

void FailpointFiles::link(const Path& from, const Path& to) {
  at("save.before_link");
  Files::link(from, to);
}

void FailpointFiles::rename(const Path& from, const Path& to) {
  const bool commits = step_of_name(to.filename()).has_value();
  if (commits) at("save.before_rename");
  if (to.extension() == ".pin") at("save.before_pin");
  if (to.filename() == "LATEST") at("save.before_latest");
  if (to.string().ends_with("-removed")) at("save.before_remove");
  Files::rename(from, to);
  if (commits) at("save.after_rename");
}

bool FailpointFiles::exchange(const Path& one, const Path& other) {
  at("save.before_rename");
  const bool done = Files::exchange(one, other);
  at("save.after_rename");
  return done;
}

void FailpointFiles::remove_tree(const Path& path) {
  if (path.string().ends_with("-removed")) at("save.while_removing");
  Files::remove_tree(path);
}

}  // namespace cllm
