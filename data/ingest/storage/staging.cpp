#include "data/ingest/storage/staging.h"

#include <unistd.h>

#include <string>

#include "data/corpus/files.h"
#include "data/errors.h"

namespace cllm {

namespace fs = std::filesystem;

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
