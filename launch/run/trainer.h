#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "checkpoints/writer.h"
#include "data/sampling/prefetch.h"
#include "launch/output/baselines.h"
#include "launch/output/log.h"
#include "launch/output/metrics.h"
#include "launch/output/progress.h"
#include "launch/output/sample_log.h"
#include "launch/output/step_meter.h"
#include "launch/run/run_folder.h"
#include "launch/run/touched_rows.h"
#include "launch/run/train_state.h"
#include "launch/run/workspace.h"
#include "launch/supervision/failpoint_files.h"
#include "launch/supervision/replica_guard.h"
#include "launch/supervision/run_control.h"
#include "launch/supervision/supervision.h"
#include "model/evaluation/evaluate.h"
#include "model/evaluation/selection.h"

namespace cllm {

/// Metrics of the best state on the test part, e.g. "recall@20"; empty if the run was stopped by a signal or a time
/// limit.
struct TrainOutcome {
  bool interrupted = false;
  MetricValues test = {};
  Baselines baselines = {};                        // measured as the test is; none of a model that gives no lists
  bool tested = true;                              // false: the corpus has no test items
  std::map<std::string, Interval> intervals = {};  // of the test
  std::string protocol = {};                       // how the test was done
  int64_t best_step = -1;                          // of the state that was tested
  double best_score = 0;                           // of the validations so far; best_epoch 0: there was none
  int64_t epochs = 0, best_epoch = 0, epochs_of_program = 0;  // done; of the best state; of the whole training
  bool ended = false;                                         // nothing is left to train
};

/// A training that is part of a search.
struct TrialOptions {
  /// The training pauses at the first validation at which so many epochs are done, given those of the whole program;
  /// null: never.
  std::function<int64_t(int64_t epochs_of_program)> pause_after = {};
  bool test = true;  // the best state, once nothing is left to train
};

/// Trains a workspace's model by its program in its run folder, from the newest checkpoint there or from the start.
/// Members are collective.
class Trainer {
 public:
  Trainer(Workspace& workspace, Log& log, Supervision& supervision, TrialOptions trial = {});

  TrainOutcome run();
  /// What run()'s outcome is compared with; interrupts it if the run must stop before that is measured.
  void add_baselines(TrainOutcome& outcome);

 private:
  /// A step of the program with what this rank computes in it.
  struct Step {
    std::unique_ptr<StepInput> input;
    StepSettings settings;
  };

  void start_or_resume();
  bool train(size_t segment);
  void begin(const Segment& segment, int64_t start);
  void train_step(const Segment& segment, int64_t end);
  Step take(const Segment& segment, int64_t global_step);
  bool finish(const Segment& segment);
  bool validate(const Segment& segment);
  bool meet(bool for_step);
  bool must_leave_evaluation();
  bool checkpoint_due() const;
  void save(const std::string& pin = "");
  TrainOutcome interrupt();
  TrainOutcome test_best();
  void tell_epochs(TrainOutcome& outcome) const;
  bool has(Part part) const;
  std::map<std::string, double> measure(Part part, const MetricList& metrics, EvaluationResult* whole = nullptr);

  void record(const Segment& segment, const Step& step, const StepLosses& losses);
  void write(const Segment& segment, const std::string& event, std::vector<std::pair<std::string, double>> values,
             std::vector<std::pair<std::string, double>> timing = {});
  void before_change() { checkpoints_->before_change(); }
  void flush();
  std::string where(const Segment& segment, int task) const;
  const std::string& stage_name(const Segment& segment) const;

  Workspace& workspace_;
  Recommender& model_;
  const RunConfig& config_;
  Communicator& comm_;
  Log& log_;
  Supervision& supervision_;
  TrialOptions trial_;
  FailpointFiles files_;
  RunFolder folder_;
  const Program& program_;
  Selection selection_;
  RunControl control_;
  ReplicaGuard replicas_;
  Cursor cursor_;
  std::unique_ptr<CheckpointWriter> checkpoints_;
  std::unique_ptr<Prefetcher<std::unique_ptr<StepInput>>> inputs_;
  std::optional<Step> step_, next_step_;     // the running one; the next if its rows are fetched ahead
  std::unique_ptr<MetricsWriter> metrics_;   // rank 0 only
  std::unique_ptr<StageProgress> progress_;  // rank 0 only
  std::unique_ptr<SampleLog> samples_;       // if log.samples
  int stage_ = -1;                           // of progress_
  int64_t saved_step_ = -1;
  double last_save_s_, segment_start_s_;
  TouchedRows touched_;
  StepMeter since_record_, of_segment_;  // costs of this rank's steps
};

}  // namespace cllm
