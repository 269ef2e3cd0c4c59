#pragma once

// Three ways in which a save could be wrong. The catalogue must find each of them (tests/fault --meta).

#include <unistd.h>

#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>

#include "checkpoints/directory.h"
#include "checkpoints/format/files.h"

namespace cllm::testing {

/// Never syncs what the files hold.
class WithoutSync : public Files {
 public:
  void sync_file(const std::filesystem::path&) override {}
};

/// Commits before the shards are complete: their bytes follow after the rename.
class RenamesEarly : public Files {
 public:
  using Path = std::filesystem::path;

  void append(const Descriptor& file, const Path& path, std::string_view bytes) override {
    if (!is_shard(path)) return Files::append(file, path, bytes);
    const std::scoped_lock lock(mutex_);
    owed_[path.filename()] += bytes;
  }
  void sync_file(const Path& path) override {
    if (!is_shard(path)) Files::sync_file(path);
  }
  void rename(const Path& from, const Path& to) override {
    Files::rename(from, to);
    if (step_of_name(to.filename())) pay(to);
  }
  bool exchange(const Path& one, const Path& other) override {
    const bool done = Files::exchange(one, other);
    if (done) pay(other);
    return done;
  }

 private:
  void pay(const Path& dir) {
    for (const auto& [name, bytes] : owed_) {
      Files::append(Files::create_file(dir / name), dir / name, bytes);
      Files::sync_file(dir / name);
    }
    owed_.clear();
  }
  static bool is_shard(const Path& path) { return path.extension() == ".h5"; }

  std::mutex mutex_;
  std::map<std::string, std::string> owed_;  // by the shard's name
};

/// Takes it for granted that a write writes all.
class IgnoresShortWrites : public Files {
 public:
  void append(const Descriptor& file, const std::filesystem::path&, std::string_view bytes) override {
    (void)!::write(file.get(), bytes.data(), bytes.size());
  }
};

inline std::unique_ptr<Files> make_files(const std::string& variant) {
  if (variant.empty()) return std::make_unique<Files>();
  if (variant == "no_fsync") return std::make_unique<WithoutSync>();
  if (variant == "early_rename") return std::make_unique<RenamesEarly>();
  if (variant == "short_write") return std::make_unique<IgnoresShortWrites>();
  throw std::invalid_argument("variants: no_fsync, early_rename, short_write");
}

}  // namespace cllm::testing
