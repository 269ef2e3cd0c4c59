#pragma once

#include <cstdint>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "data/sampling/batch.h"
#include "launch/config/config.h"

namespace cllm {

/// The stages of METHOD.md §6.
enum class Stage { kWarmup, kMutual, kFinetune };
std::string_view name_of(Stage stage);
std::string_view name_of(StepKind kind);
/// How a state of this stage ranks: finetuned states by the recommendation prompt, others by the next item after the
/// history.
StepKind prompt_of(Stage stage);

/// Which step of which corpus to do.
struct StepRef {
  StepKind kind;
  int64_t step;  // within the epoch of that corpus
};

/// One pass over one corpus, or over two that are interleaved step by step in proportion to their sizes.
struct Segment {
  Stage stage;
  int64_t epoch;         // within the stage
  double learning_rate;  // constant within a segment: skip-aware Adam flushes where it changes
  bool validate_after;
  std::vector<std::pair<StepKind, int64_t>> streams;  // corpus, its steps in this segment

  int64_t num_steps() const;
  StepRef at(int64_t step) const;
  bool is_mixed() const { return streams.size() > 1; }
};

/// Steps of one epoch of each corpus.
struct EpochSteps {
  int64_t collaborative = 0, content = 0, recommendation = 0;
};

/// The whole training as a list of segments: a pure function of the configuration, so a checkpoint needs only the
/// global step.
class Schedule {
 public:
  Schedule(const RunConfig& config, const EpochSteps& steps);

  const std::vector<Segment>& segments() const { return segments_; }
  int64_t num_steps() const { return starts_.back(); }
  /// The kinds of step that occur.
  std::set<StepKind> kinds() const;
  /// The segment that `global_step` (< num_steps()) belongs to.
  size_t segment_of(int64_t global_step) const;
  /// First global step of a segment; of one past the last segment: num_steps().
  int64_t start_of(size_t segment) const { return starts_[segment]; }
  /// Steps of all segments of a stage, and how many of them come before `global_step`.
  int64_t steps_of(Stage stage) const;
  int64_t steps_of_before(Stage stage, int64_t global_step) const;
  /// Corpus and step within its epoch.
  StepRef at(int64_t global_step) const;

 private:
  std::vector<Segment> segments_;
  std::vector<int64_t> starts_;  // [segments + 1]
};

}  // namespace cllm
