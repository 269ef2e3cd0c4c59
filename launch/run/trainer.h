#pragma once

#include <map>
#include <memory>
#include <string>

#include "checkpoints/writer.h"
#include "data/sampling/prefetch.h"
#include "launch/output/log.h"
#include "launch/output/metrics.h"
#include "launch/output/progress.h"
#include "launch/output/sample_log.h"
#include "launch/output/step_meter.h"
#include "launch/run/run_folder.h"
#include "launch/run/schedule.h"
#include "launch/run/selection.h"
#include "launch/run/step_inputs.h"
#include "launch/run/touched_rows.h"
#include "launch/run/train_state.h"
#include "launch/run/workspace.h"
#include "launch/supervision/failpoint_files.h"
#include "launch/supervision/replica_guard.h"
#include "launch/supervision/run_control.h"
#include "launch/supervision/supervision.h"

namespace cllm {

/// Metrics of the best state on the test part, e.g. "recall@20"; empty if the run was stopped by a signal or a time
/// limit.
struct TrainOutcome {
  bool interrupted = false;
  std::map<std::string, double> test;
};

/// Trains a workspace by its schedule in its run folder, from the newest checkpoint there or from the start. Members
/// are collective.
class Trainer {
 public:
  Trainer(Workspace& workspace, const Channels& channels, Log& log, Supervision& supervision);

  TrainOutcome run();
  const Schedule& schedule() const { return schedule_; }

 private:
  void start_or_resume();
  bool train(size_t segment);
  void begin(const Segment& segment, int64_t start);
  void train_step(const Segment& segment, int64_t end);
  bool finish(const Segment& segment);
  bool validate(const Segment& segment);
  bool meet(bool for_step);
  bool must_leave_evaluation();
  bool checkpoint_due() const;
  void save(const std::string& pin = "");
  TrainOutcome interrupt();
  TrainOutcome test_best();

  void count(const Batch& batch, const StepConfig& config, StepCost cost);
  void record(const Segment& segment, StepKind kind, const StepLosses& losses);
  void write(const Segment& segment, const std::string& event, std::vector<std::pair<std::string, double>> values,
             std::vector<std::pair<std::string, double>> timing = {});
  TrainState state() const;
  void settle();
  void flush_tables();

  Workspace& workspace_;
  const RunConfig& config_;
  Communicator& comm_;
  Log& log_;
  Supervision& supervision_;
  FailpointFiles files_;
  RunFolder folder_;
  Schedule schedule_;
  Selection selection_;
  TrainStep step_;
  RunControl control_;
  ReplicaGuard replicas_;
  Cursor cursor_;
  std::unique_ptr<CheckpointWriter> checkpoints_;
  std::unique_ptr<Prefetcher<StepInput>> inputs_;
  std::unique_ptr<StepInput> input_, next_input_;  // of the running step; of the next if its rows are fetched ahead
  std::unique_ptr<MetricsWriter> metrics_;         // rank 0 only
  std::unique_ptr<StageProgress> progress_;        // rank 0 only
  std::unique_ptr<SampleLog> samples_;             // if log.samples
  Stage stage_ = Stage::kWarmup;                   // of progress_
  int64_t saved_step_ = -1;
  double last_save_s_, segment_start_s_;
  TouchedRows touched_;
  StepMeter since_record_, of_segment_;  // costs of this rank's steps
};

}  // namespace cllm
