#pragma once

#include <map>
#include <memory>
#include <string>

#include "checkpoints/writer.h"
#include "data/sampling/prefetch.h"
#include "launch/log.h"
#include "launch/metrics.h"
#include "launch/progress.h"
#include "launch/run_folder.h"
#include "launch/schedule.h"
#include "launch/selection.h"
#include "launch/stop_signal.h"
#include "launch/train_state.h"
#include "launch/workspace.h"

namespace cllm {

/// Metrics of the best state on the test part, e.g. "recall@20"; empty if the run was stopped by a signal.
struct TrainOutcome {
  bool interrupted = false;
  std::map<std::string, double> test;
};

/// Trains a workspace by its schedule in its run folder, from the newest checkpoint there or from the start. Members are collective.
class Trainer {
 public:
  Trainer(Workspace& workspace, Communicator& comm, Log& log);

  TrainOutcome run();
  const Schedule& schedule() const { return schedule_; }

 private:
  void start_or_resume();
  void begin(const Segment& segment, int64_t start);
  void train_step(const Segment& segment);
  void finish(const Segment& segment);
  void validate(const Segment& segment);
  bool stop_requested();
  bool checkpoint_due();
  void save(const std::string& pin = "");
  TrainOutcome test_best();

  Batch make_batch(int64_t global_step) const;
  StepConfig step_config(const Segment& segment, StepKind kind) const;
  void record(const Segment& segment, StepKind kind, const StepLosses& losses);
  void write(const Segment& segment, const std::string& event, std::vector<std::pair<std::string, double>> values,
             std::vector<std::pair<std::string, double>> timing = {});
  TrainState state() const;
  void flush_tables();

  Workspace& workspace_;
  const RunConfig& config_;
  Communicator& comm_;
  Log& log_;
  RunFolder folder_;
  Schedule schedule_;
  Selection selection_;
  TrainStep step_;
  Cursor cursor_;
  StopSignal stop_;
  std::unique_ptr<CheckpointWriter> checkpoints_;
  std::unique_ptr<Prefetcher> batches_;
  std::unique_ptr<MetricsWriter> metrics_;   // rank 0 only
  std::unique_ptr<StageProgress> progress_;  // rank 0 only
  Stage stage_ = Stage::kWarmup;             // of progress_
  int64_t saved_step_ = -1;
  double last_save_s_, segment_start_s_ = 0;
};

}  // namespace cllm
