#pragma once

#include <cstdint>
#include <utility>
#include <vector>

namespace cllm::heads {

/// While it lives, attention of packed sequences on the CPU (packed_heads.h) that this thread calls lets sequence b see
/// all tokens of sequence behind[b], an earlier one that has none before it, before its own; -1, or no entry: its own
/// alone. Forward only. The layout's positions and its longest sequence must count the tokens before.
class StandBehind {
 public:
  explicit StandBehind(std::vector<int64_t> behind) : behind_(std::move(behind)), outer_(std::exchange(now_, this)) {}
  ~StandBehind() { now_ = outer_; }
  StandBehind(const StandBehind&) = delete;
  StandBehind& operator=(const StandBehind&) = delete;

  /// Of this thread's calls; null: no sequence stands behind another.
  static const StandBehind* now() { return now_; }
  int64_t of(int64_t sequence) const {
    return sequence < static_cast<int64_t>(behind_.size()) ? behind_[static_cast<size_t>(sequence)] : -1;
  }

 private:
  static inline thread_local const StandBehind* now_ = nullptr;
  std::vector<int64_t> behind_;
  const StandBehind* outer_;
};

}  // namespace cllm::heads
