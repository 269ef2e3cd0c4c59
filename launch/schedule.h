#pragma once

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "data/batch.h"
#include "launch/config.h"

namespace cllm {

/// The stages of METHOD.md §6.
enum class Stage { kWarmup, kMutual, kFinetune };
std::string_view name_of(Stage stage);
std::string_view name_of(StepKind kind);

/// Which step of which corpus to do.
struct StepRef {
  StepKind kind;
  int64_t step;  // within the epoch of that corpus
};

/// One pass over one corpus, or over two that are interleaved step by step in proportion to their sizes.
struct Segment {
  Stage stage;
  int64_t epoch;  // within the stage
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

/// The whole training as a list: a pure function of the configuration, so a checkpoint needs only (segment, step).
std::vector<Segment> make_schedule(const RunConfig& config, const EpochSteps& steps);

}  // namespace cllm
