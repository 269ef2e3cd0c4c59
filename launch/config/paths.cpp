#include "launch/config/paths.h"

#include <array>
#include <variant>

#include "data/errors.h"

namespace cllm {
namespace {

namespace fs = std::filesystem;

// "none" is a choice of run.backbone, not a path.

/// The text behind a key; null if the model has none of that name.
std::string* text_of(const Settings& settings, const std::string& key) {
  for (const Setting& setting : settings) {
    if (setting.key == key && std::holds_alternative<std::string*>(setting.target))
      return std::get<std::string*>(setting.target);
  }
  return nullptr;
}

void find(std::string* path, const std::string& moved, const std::string& old_dir, const fs::path& dir,
          const std::string& option) {
  if (path == nullptr) return;
  if (!moved.empty()) {
    *path = moved;
  } else if (!path->empty() && *path != "none" && !fs::exists(*path)) {
    const fs::path beside = (fs::absolute(dir) / fs::path(*path).lexically_relative(old_dir)).lexically_normal();
    if (!fs::exists(beside))
      throw DataError(*path + ": not there any more, nor beside the run; if it was moved, say where it is: " + option +
                      " of evaluate, recommend and export, or put it back");
    *path = beside.string();
  }
}

}  // namespace

void make_paths_absolute(RunConfig& config) {
  const Settings settings = all_settings(config);
  for (const char* key : {"run.dir", "run.corpus", "run.backbone", "init.run"}) {
    std::string* const path = text_of(settings, key);
    if (path != nullptr && !path->empty() && *path != "none") *path = fs::absolute(*path).lexically_normal().string();
  }
}

void find_paths(RunConfig& config, const fs::path& dir, const MovedPaths& moved) {
  const Settings settings = all_settings(config);
  const std::string old_dir = config.run.dir;
  find(text_of(settings, "run.corpus"), moved.corpus, old_dir, dir, "--corpus FOLDER");
  find(text_of(settings, "run.backbone"), moved.backbone, old_dir, dir, "--backbone FOLDER");
}

}  // namespace cllm
