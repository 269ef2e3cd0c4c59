#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace cllm {

/// What a rank says about itself once a second.
struct Heartbeat {
  int rank = 0;
  int64_t beat = 0;  // grows while the process runs
  int64_t step = 0;
  std::string work, operation;  // "training step"; "all_reduce on \"world\"" or "computing"
  int64_t num_collectives = 0;
  double elapsed_s = 0;   // in this work
  bool reported = false;  // it has written its last words
};

/// One small file per rank in the run folder: it works when MPI does not. Whether a rank is alive shows in its beats,
/// not in clocks. I/O errors are ignored: a watchdog must not end a healthy run.
class HeartbeatBoard {
 public:
  explicit HeartbeatBoard(std::filesystem::path dir) : dir_(std::move(dir)) {}

  /// An empty board; by one rank, before any of them writes.
  void clear() const;
  void write(const Heartbeat& mine) const;
  /// Nothing if the rank never wrote.
  std::optional<Heartbeat> read(int rank) const;

  /// Calls all ranks to report and leave.
  void raise_alarm(int rank) const;
  bool alarm() const;

 private:
  std::filesystem::path file_of(int rank) const;
  std::filesystem::path dir_;
};

}  // namespace cllm
