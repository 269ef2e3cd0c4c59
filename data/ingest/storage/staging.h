#pragma once

#include <filesystem>
#include <vector>

namespace cllm {

/// Where a corpus may be written: `output` without a slash at its end. DataError if something is there, unless it is a
/// corpus or an empty folder, `overwrite` says so, and it holds none of `inputs`.
std::filesystem::path place_of_corpus(const std::filesystem::path& output, bool overwrite,
                                      const std::vector<std::filesystem::path>& inputs);

/// The folder OUT.tmp-PID that becomes the corpus OUT by a rename; gone if that never happens. A killed run leaves it
/// behind.
class StagingFolder {
 public:
  explicit StagingFolder(const std::filesystem::path& output);
  StagingFolder(const StagingFolder&) = delete;
  StagingFolder& operator=(const StagingFolder&) = delete;
  ~StagingFolder();

  const std::filesystem::path& path() const { return path_; }

  /// The one commit point. An older corpus of that name is moved away first and deleted last: there is no moment with a
  /// mixture of both.
  void publish();

 private:
  std::filesystem::path output_, path_;
};

}  // namespace cllm
