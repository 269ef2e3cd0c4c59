#pragma once

#include <filesystem>
#include <string_view>

#include "checkpoints/format/descriptor.h"

namespace cllm {

/// Every change that a save makes to the file system. Tests replace it to cut a save short at any call, or to forget
/// what was never synced. Errors: CheckpointError(74) with the call, the path and the system's text.
class Files {
 public:
  virtual ~Files() = default;
  virtual void create_directory(const std::filesystem::path& path);
  /// Creates or empties a file. Its content is durable after sync_file, its name after sync_directory of its folder.
  virtual Descriptor create_file(const std::filesystem::path& path);
  virtual void append(const Descriptor& file, const std::filesystem::path& path, std::string_view bytes);
  /// Asks the kernel to begin writing what was appended, without waiting.
  virtual void start_writeback(const Descriptor& file);
  virtual void sync_file(const std::filesystem::path& path);
  virtual void sync_directory(const std::filesystem::path& path);
  /// A second name for a file, in another folder of the same file system.
  virtual void link(const std::filesystem::path& from, const std::filesystem::path& to);
  virtual void rename(const std::filesystem::path& from, const std::filesystem::path& to);
  /// Swaps two directories in one step; false where the file system cannot.
  virtual bool exchange(const std::filesystem::path& one, const std::filesystem::path& other);
  virtual void remove_tree(const std::filesystem::path& path);
};

/// A whole small file; durable like one that was appended to.
void write_file(Files& files, const std::filesystem::path& path, std::string_view bytes);

/// write, sync, rename over `path`, sync the folder: a reader sees the old or the new content, never a part.
void replace_file(Files& files, const std::filesystem::path& path, std::string_view bytes);

}  // namespace cllm
