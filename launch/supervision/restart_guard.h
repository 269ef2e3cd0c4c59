#pragma once

#include <cstdint>
#include <filesystem>

namespace cllm {

/// Ends crash loops (RELIABILITY.md R19): counts the starts of a run since its newest commit, in <run.dir>/starts.json.
/// Rank 0 only.
class RestartGuard {
 public:
  explicit RestartGuard(const std::filesystem::path& run_dir) : file_(run_dir / "starts.json") {}

  /// Before training. `newest_step`: of the checkpoints there, -1: none. Throws NoProgressError (exit code 78) at the
  /// `max_restarts`-th restart in a row that finds no new commit; 0: never.
  void count_start(int64_t newest_step, int64_t max_restarts) const;
  /// The run ended in order, or a person must mend its input: its starts do not count.
  void forgive() const;

 private:
  std::filesystem::path file_;
};

}  // namespace cllm
