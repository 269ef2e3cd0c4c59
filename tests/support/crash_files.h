#pragma once

// File systems that fail: for tests of what a save leaves behind.

#include <atomic>
#include <fstream>
#include <mutex>
#include <set>

#include "checkpoints/errors.h"
#include "checkpoints/format/files.h"

namespace cllm::testing {

/// The process is gone: deliberately no std::exception, so that nothing handles it.
struct Crash {};

/// Ends the process at its n-th call (from all ranks together), and knows what a power failure at that moment would
/// take away: content that was not synced, names that were not synced with their folder, and renames likewise.
class CrashingFiles : public Files {
 public:
  using Path = std::filesystem::path;
  explicit CrashingFiles(int crash_at) : crash_at_(crash_at) {}

  bool crashed() const { return calls_ >= crash_at_; }

  void create_directory(const Path& path) override {
    count();
    Files::create_directory(path);
  }
  Descriptor create_file(const Path& path) override {
    count();
    return Files::create_file(path);
  }
  void append(const Descriptor& file, const Path& path, std::string_view bytes) override {
    count();
    Files::append(file, path, bytes);
  }
  void sync_file(const Path& path) override {
    count();
    Files::sync_file(path);
    const std::scoped_lock lock(mutex_);
    synced_.insert(path);
  }
  void sync_directory(const Path& path) override {
    count();
    Files::sync_directory(path);
    const std::scoped_lock lock(mutex_);
    std::erase_if(renames_, [&](const auto& rename) { return rename.second.parent_path() == path; });
    for (const auto& entry : std::filesystem::directory_iterator(path)) named_.insert(entry.path());
  }
  void link(const Path& from, const Path& to) override {
    count();
    Files::link(from, to);
    const std::scoped_lock lock(mutex_);
    if (synced_.contains(from)) synced_.insert(to);  // the content is the same; the name is not durable yet
  }
  void rename(const Path& from, const Path& to) override {
    count();
    Files::rename(from, to);
    const std::scoped_lock lock(mutex_);
    move_known(synced_, from, to);
    move_known(named_, from, to);
    renames_.emplace_back(from, to);
  }
  bool exchange(const Path& one, const Path& other) override {
    count();
    return Files::exchange(one, other);
  }
  void remove_tree(const Path& path) override {
    count();
    Files::remove_tree(path);
  }

  /// Everything under `parent` that was there before counts as durable.
  void trust(const Path& parent) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(parent)) {
      synced_.insert(entry.path());
      named_.insert(entry.path());
    }
  }

  /// Takes away what was not durable. A rename that was not synced may have reached the disk or not: `keep_renames`
  /// decides.
  void lose_power(const Path& parent, bool keep_renames) {
    for (auto rename = renames_.rbegin(); rename != renames_.rend() && !keep_renames; ++rename) {
      if (std::filesystem::exists(rename->second) && !std::filesystem::exists(rename->first)) {
        std::filesystem::rename(rename->second, rename->first);
        move_known(synced_, rename->second, rename->first);
        move_known(named_, rename->second, rename->first);
      }
    }
    std::set<Path> files;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(parent)) {
      if (entry.is_regular_file()) files.insert(entry.path());
    }
    for (const Path& file : files) {
      if (!synced_.contains(file)) std::filesystem::resize_file(file, 0);
      if (!named_.contains(file) && file.parent_path() != parent) std::filesystem::remove(file);
    }
  }

 protected:
  virtual void count() {
    if (++calls_ >= crash_at_) throw Crash();
  }

 private:
  static void move_known(std::set<Path>& known, const Path& from, const Path& to) {
    std::set<Path> moved;
    for (const Path& path : known) {
      const std::string text = path.string(), prefix = from.string();
      const bool inside = text == prefix || text.starts_with(prefix + "/");
      moved.insert(inside ? Path(to.string() + text.substr(prefix.size())) : path);
    }
    known = std::move(moved);
  }

  int crash_at_;
  std::atomic<int> calls_ = 0;
  std::mutex mutex_;
  std::set<Path> synced_, named_;
  std::vector<std::pair<Path, Path>> renames_;
};

/// Fails its n-th call with an I/O error, as a full disk does.
class FailingFiles : public CrashingFiles {
 public:
  using CrashingFiles::CrashingFiles;

 protected:
  void count() override {
    try {
      CrashingFiles::count();
    } catch (const Crash&) {
      if (!failed_.exchange(true)) throw CheckpointError(CheckpointError::kCannotSave, "No space left on device");
    }
  }

 private:
  std::atomic<bool> failed_ = false;
};

}  // namespace cllm::testing
