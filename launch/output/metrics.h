#pragma once

// The run's numbers over time, for programs: <dir>/metrics.jsonl and <dir>/tensorboard/events.out.tfevents.cllm4rec.
// Formats: README.md.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace cllm {

/// One record. `step` counts all optimiser steps of the run and never falls. Values are written in the given order.
struct MetricsRecord {
  int64_t step = 0;
  std::string stage;  // warmup | mutual | finetune | test
  std::string event;  // step | validation | epoch | test: which chart a value belongs to
  std::vector<std::pair<std::string, double>> values;
  /// Numbers that differ from run to run (rates, times); they go to `timing.jsonl`, so that metrics.jsonl of a resumed
  /// run equals that of an uninterrupted one byte for byte. TensorBoard gets both.
  std::vector<std::pair<std::string, double>> timing = {};
};

struct MetricsOptions {
  bool jsonl = true;
  bool tensorboard = true;
};

/// Appends records. Rank 0 only. A failed write throws std::system_error with the path: the numbers are part of the
/// result.
class MetricsWriter {
 public:
  /// `resume_step`: records of later steps are cut away first (they will be written again), and a record of that very
  /// step that is already there is not written twice. Nothing: a fresh run, all old records go.
  MetricsWriter(const std::string& dir, const MetricsOptions& options, std::optional<int64_t> resume_step);
  ~MetricsWriter();
  MetricsWriter(const MetricsWriter&) = delete;
  MetricsWriter& operator=(const MetricsWriter&) = delete;

  void write(const MetricsRecord& record);
  /// To the disk; call before a checkpoint is committed.
  void flush();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// The records of metrics.jsonl, oldest first. A cut last line is left out. Throws DataError (path:line) for anything
/// else.
std::vector<MetricsRecord> read_metrics(const std::string& path);

}  // namespace cllm
