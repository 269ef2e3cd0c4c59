#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

namespace cllm {

/// One wait for other ranks, as this rank saw it.
struct CollectiveRecord {
  int64_t number = 0;     // of this thread; ranks that agree count alike
  std::string operation;  // e.g. all_reduce on "world"
  int64_t num_bytes = 0;
  double begin_s = 0, end_s = 0;  // steady clock; end_s = 0: under way
};

/// What one thread of this rank is doing. That thread writes; a watchdog reads at any time from another. One thread
/// writes at a time.
class Activity {
 public:
  struct State {
    std::string work;  // e.g. "training step"; empty: nothing that could hang
    int64_t step = 0;
    double since_s = 0, deadline_s = 0;    // steady clock; 0: no deadline
    std::vector<CollectiveRecord> recent;  // the last ones, oldest first
    int64_t num_collectives = 0;

    /// The collective that it waits in, "computing" outside of one.
    std::string operation() const;
    /// Seconds that the work has taken at `now_s`.
    double elapsed_s(double now_s) const { return work.empty() ? 0 : now_s - since_s; }
    bool expired(double now_s) const { return deadline_s > 0 && elapsed_s(now_s) > deadline_s; }
  };

  /// Starts a piece of work that must end, or be followed by the next begin(), within `deadline_s` seconds (0: no
  /// deadline).
  void begin(const std::string& work, int64_t step, double deadline_s);
  /// Renames the work; its clock goes on.
  void note(const std::string& work);
  /// Nothing to watch until the next begin().
  void end();

  /// `num_bytes` of its tensors, of which `moved_bytes` are other ranks'.
  void begin_collective(const std::string& operation, int64_t num_bytes, int64_t moved_bytes);
  void end_collective();
  /// The compute stream of a GPU stood still for so long behind a collective; known only some time after it.
  void add_stall(double seconds);

  State state() const;
  /// Seconds spent waiting in collectives so far, and the bytes of their tensors that were other ranks'.
  double waited_s() const;
  /// Seconds of add_stall() so far.
  double stalled_s() const;
  int64_t moved_bytes() const;

  /// The clock of all times here.
  static double now_s();

 private:
  static constexpr size_t kRecent = 32;

  mutable std::mutex mutex_;
  std::string work_;
  int64_t step_ = 0, num_collectives_ = 0, moved_bytes_ = 0;
  double since_s_ = 0, deadline_s_ = 0, waited_s_ = 0, stalled_s_ = 0;
  std::array<CollectiveRecord, kRecent> ring_;
};

/// Ends the work of an Activity (which may be null) when it goes.
class ActivityScope {
 public:
  ActivityScope(Activity* activity, const std::string& work, int64_t step, double deadline_s) : activity_(activity) {
    if (activity_ != nullptr) activity_->begin(work, step, deadline_s);
  }
  ~ActivityScope() {
    if (activity_ != nullptr) activity_->end();
  }
  ActivityScope(const ActivityScope&) = delete;
  ActivityScope& operator=(const ActivityScope&) = delete;

 private:
  Activity* activity_;
};

}  // namespace cllm
