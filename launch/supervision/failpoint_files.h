#pragma once

#include "checkpoints/format/files.h"
#include "dist/watch/failpoints.h"

namespace cllm {

/// The real file system, with a named failpoint before or after each stage of a save. "fail" is an I/O error there.
class FailpointFiles : public Files {
 public:
  using Path = std::filesystem::path;
  explicit FailpointFiles(Failpoints& failpoints) : failpoints_(failpoints) {}

  void create_directory(const Path& path) override;
  Descriptor create_file(const Path& path) override;
  void append(const Descriptor& file, const Path& path, std::string_view bytes) override;
  void sync_file(const Path& path) override;
  void sync_directory(const Path& path) override;
  void link(const Path& from, const Path& to) override;
  void rename(const Path& from, const Path& to) override;
  bool exchange(const Path& one, const Path& other) override;
  void remove_tree(const Path& path) override;

 private:
  void at(std::string_view name);
  Failpoints& failpoints_;
};

}  // namespace cllm
