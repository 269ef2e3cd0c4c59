#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace cllm {

/// A task's steps within a segment.
struct Stream {
  int task;  // index into Program::tasks()
  int64_t num_steps;
};

/// Names one step: which of a task's epoch, in which stage.
struct StepRef {
  int task = 0;
  int stage = 0;
  int64_t epoch = 0;  // within the stage
  int64_t step = 0;   // within the epoch of that task
};

/// One pass over the samples of one task, or of two that are interleaved step by step in proportion to their sizes.
struct Segment {
  int stage = 0;  // index into Program::stages()
  int64_t epoch = 0, num_epochs = 1;
  double learning_rate = 0;  // constant within a segment: skip-aware Adam flushes where it changes
  bool validate_after = false;
  int64_t patience = 0;  // validations of the stage without a better state after which training ends; 0: never
  std::vector<Stream> streams;

  int64_t num_steps() const;
  StepRef at(int64_t step) const;
};

/// The whole training as a list of segments: a pure function of the configuration, so a checkpoint needs only the
/// global step. A stage starts with fresh optimiser state.
class Program {
 public:
  Program() = default;
  /// Segments and streams without steps are left out. `stages` and `tasks`: their names, for people and for records.
  Program(std::vector<std::string> stages, std::vector<std::string> tasks, const std::vector<Segment>& segments);

  const std::vector<std::string>& stages() const { return stages_; }
  const std::vector<std::string>& tasks() const { return tasks_; }
  const std::vector<Segment>& segments() const { return segments_; }
  int64_t num_steps() const { return starts_.back(); }
  /// Whether a task has steps.
  bool has(int task) const;
  /// The segment that `global_step` (< num_steps()) belongs to.
  size_t segment_of(int64_t global_step) const;
  /// First global step of a segment; of one past the last segment: num_steps().
  int64_t start_of(size_t segment) const { return starts_[segment]; }
  /// Steps of all segments of a stage, and how many of them come before `global_step`.
  int64_t steps_of(int stage) const { return steps_of_before(stage, num_steps()); }
  int64_t steps_of_before(int stage, int64_t global_step) const;
  StepRef at(int64_t global_step) const;
  /// Epochs of all stages, one after the other, that the first `segments` segments begin.
  int64_t epochs_of(size_t segments) const;
  /// How many segments it takes until so many epochs are begun and the last of them has validated; all where there is
  /// no such validation.
  size_t segments_for(int64_t epochs) const;

 private:
  std::vector<std::string> stages_, tasks_;
  std::vector<Segment> segments_;
  std::vector<int64_t> starts_{0};  // [segments + 1]
};

}  // namespace cllm
