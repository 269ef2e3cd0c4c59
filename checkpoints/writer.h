#pragma once

#include <atomic>
#include <filesystem>
#include <future>
#include <memory>
#include <optional>

#include "checkpoints/checkpoint.h"
#include "dist/device/device.h"

namespace cllm {

/// Saves in the background: start() copies the state to host memory and returns; a thread writes it over its own
/// communicator. What is on a GPU is copied beside what that goes on to compute: call before_change() before anything
/// changes the state. One save at a time, so memory is bounded by one copy of the state. start() and finish() are
/// collective; a save that failed is thrown by the next of them on all ranks alike.
class CheckpointWriter {
 public:
  /// Duplicates `comm` for tensors of the host: what travels for a checkpoint is text. `parent` must be prepared
  /// (checkpoint.h, prepare). `whole_every`: every n-th save must be whole, those between may hold only changes; 1: all
  /// whole.
  CheckpointWriter(Communicator& comm, std::filesystem::path parent, SaveOptions options, int64_t whole_every = 1);
  /// Waits for the save under way; its failure is lost: call finish() first.
  ~CheckpointWriter();

  /// True if the next save must be whole: the first, and every `whole_every`-th after it; always on file systems
  /// without second names.
  bool next_is_whole() const { return since_whole_ == 0 || since_whole_ >= whole_every_; }
  /// Waits for the save under way, if any, and begins the next. `pin` as in SaveOptions. `state` has only_changes since
  /// the last whole save that was started, or is whole.
  void start(int64_t step, const TrainState& state, const std::string& pin = "");
  /// After start() and before any change of the state, on the same thread: a GPU makes the change after the copy; the
  /// host does not wait. Costs nothing if there is nothing to wait for.
  void before_change();
  /// Waits for the save under way, if any, and returns it.
  std::optional<CheckpointInfo> finish();
  /// True once the save under way has ended on this rank. Ranks see it at different moments: agree before acting on it.
  bool idle() const;
  /// True if the save under way has failed; then finish() throws, on all ranks. Ranks see it at different moments, like
  /// idle().
  bool failed() const { return failed_; }
  /// The longest save so far, from snapshot to commit; 0: none has ended.
  double longest_s() const { return longest_s_; }

 private:
  void snapshot(const TrainState& state);
  CheckpointInfo save_copy(int64_t step, const SaveOptions& options, double begin_s);

  std::unique_ptr<Communicator> comm_;
  std::filesystem::path parent_;
  SaveOptions options_;
  int64_t whole_every_, since_whole_ = 0;  // saves since the last whole one, with it; 0: none yet
  CheckpointInfo last_;                    // committed
  TrainState copy_;                        // in host memory; its tensors are reused by the next save
  std::unique_ptr<HostCopies> copies_;     // of a device's tensors into copy_; null: there are none
  std::atomic<bool> failed_ = false;
  std::atomic<double> longest_s_ = 0;
  std::future<CheckpointInfo> pending_;
};

}  // namespace cllm
