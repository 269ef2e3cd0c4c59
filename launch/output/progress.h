#pragma once

// The line a person watches. Rank 0 only: other ranks make no Progress.

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace cllm {

/// Where the lines go and what time it is; tests give their own.
struct ProgressSink {
  std::function<void(const std::string&)> write;  // raw text, with \r and \n
  std::function<double()> now_s;                  // monotonic seconds
  bool terminal = false;
};

/// Standard error and the steady clock.
ProgressSink standard_progress_sink();

/// One line that renews itself on a terminal (at most 10 times a second); elsewhere a plain line at most every
/// `plain_every_s` seconds. The last state is always printed.
class ProgressLine {
 public:
  explicit ProgressLine(ProgressSink sink = standard_progress_sink(), double plain_every_s = 10);
  ~ProgressLine();
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  /// Prints text() if it is time to.
  void update(const std::function<std::string()>& text);
  /// Prints `text` as the last state and ends the line.
  void finish(const std::string& text);

  double now_s() const { return sink_.now_s(); }

 private:
  void draw(const std::string& text);

  ProgressSink sink_;
  double plain_every_s_;
  double last_s_;
  bool open_ = false;  // a line without its end stands on the terminal
};

/// What one training step adds to the line.
struct StepProgress {
  std::string task = {};  // losses of different tasks are different measures: each has its own running means
  double loss = 0;
  std::vector<std::pair<std::string, double>> terms = {};  // what the loss is made of, e.g. {"lm", 5.1}, in their order
  int64_t sequences = 0, tokens = 0;
};

/// "mutual     34%  epoch 12/100 L  loss 5.213  LM 5.101  MR 0.1120  1.23k seq/s  45.6k tok/s  MFU 41%  exposed 3%
/// 1.20MB/step  left 12m05s". Losses are those of the last step's task, as running means over about 50 of its steps;
/// rates are those of the last 30 seconds or so, costs as they were given.
class StageProgress {
 public:
  /// `done_steps` of `num_steps` were made before (a resumed run).
  StageProgress(std::string stage, int64_t num_steps, int64_t done_steps, ProgressSink sink = standard_progress_sink());

  /// `note` says where in the stage, e.g. "epoch 12/100 L", `costs` what steps cost (StepMeter::brief).
  void step(const StepProgress& step, const std::string& note, const std::string& costs = "");
  /// Time that is no training (validation, a save) does not count in the rates.
  void pause();
  void finish();

  double sequences_per_s() const { return sequences_per_s_; }
  double tokens_per_s() const { return tokens_per_s_; }

 private:
  std::string text() const;
  void measure(const StepProgress& step);

  ProgressLine line_;
  std::string stage_, note_, costs_;
  int64_t num_steps_, step_, first_step_;
  double last_s_;
  double busy_s_ = 0;                          // training time of this process, without pauses
  std::map<std::string, StepProgress> means_;  // of the losses, by task
  std::string task_;                           // of the last step
  double sequences_per_s_ = 0, tokens_per_s_ = 0;
};

/// "reading interactions.tsv  45%  120 MB of 266 MB  95.1 MB/s  left 2s": for prepare, demo-data and other counted
/// work.
class PhaseProgress {
 public:
  /// `total` 0: unknown; then no percentage and no time left. `unit` of the counts, e.g. "texts" or "B".
  PhaseProgress(std::string phase, double total, std::string unit, ProgressSink sink = standard_progress_sink());
  void set(double done);
  void finish();

 private:
  std::string text() const;

  ProgressLine line_;
  std::string phase_, unit_;
  double total_, done_ = 0, start_s_;
};

}  // namespace cllm
