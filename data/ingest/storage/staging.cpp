#include "data/ingest/storage/staging.h"

#include <unistd.h>

#include <algorithm>
#include <string>

#include "data/corpus/files.h"
#include "data/corpus/manifest.h"
#include "data/errors.h"

namespace cllm {

namespace fs = std::filesystem;

namespace {

/// `folder` is `path` or above it.
bool holds(const fs::path& folder, const fs::path& path) {
  const fs::path whole = fs::weakly_canonical(folder), part = fs::weakly_canonical(path);
  return std::mismatch(whole.begin(), whole.end(), part.begin(), part.end()).first == whole.end();
}

}  // namespace

fs::path place_of_corpus(const fs::path& output, bool overwrite, const std::vector<fs::path>& inputs) {
  fs::path place = output.lexically_normal();
  if (!place.has_filename()) place = place.parent_path();
  if (!fs::exists(fs::symlink_status(place))) return place;
  const std::string name = place.string();
  if (!overwrite) throw DataError(name + ": exists already; choose another name, or say --overwrite");
  const bool empty = fs::is_directory(place) && fs::is_empty(place);
  if (!empty && !fs::exists(place / kManifestName))
    throw DataError(name + ": holds no corpus, which is all that --overwrite replaces; choose another name");
  for (const fs::path& input : inputs) {
    if (input.empty() || !holds(place, input)) continue;
    throw DataError(name + ": holds the input " + input.string() +
                    ", which --overwrite would delete; choose another name");
  }
  return place;
}

StagingFolder::StagingFolder(const fs::path& output)
    : output_(output), path_(output.string() + ".tmp-" + std::to_string(::getpid())) {
  std::error_code ignored;
  if (output.has_parent_path()) fs::create_directories(output.parent_path(), ignored);
  fs::remove_all(path_, ignored);  // of a killed process that had our id
  std::error_code error;
  if (!fs::create_directory(path_, error)) throw DataError(path_.string() + ": cannot create: " + error.message());
}

StagingFolder::~StagingFolder() {
  std::error_code ignored;
  if (!path_.empty()) fs::remove_all(path_, ignored);
}

void StagingFolder::publish() {
  sync_to_disk(path_);
  const fs::path old = path_.string() + ".old";
  std::error_code error;
  if (fs::exists(output_)) fs::rename(output_, old, error);
  if (!error) fs::rename(path_, output_, error);
  if (error) {
    std::error_code ignored;
    fs::rename(old, output_, ignored);  // back again, if it was moved
    throw DataError(output_.string() + ": cannot move the finished corpus there: " + error.message());
  }
  path_.clear();
  sync_to_disk(output_.has_parent_path() ? output_.parent_path() : fs::path("."));
  fs::remove_all(old, error);
}

}  // namespace cllm
