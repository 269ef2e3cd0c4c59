#pragma once

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "data/batch.h"

namespace cllm {

/// The stages of METHOD.md §6.
enum class Stage { kWarmup, kMutual, kFinetune };
std::string_view name_of(Stage stage);
std::string_view name_of(StepKind kind);

/// How the learning rate falls over the epochs of a stage; it is constant within an epoch, which skip-aware Adam relies on.
enum class Decay { kConstant, kLinear, kCosine };

struct StageConfig {
  int64_t epochs = 0;
  double learning_rate = 1e-3;
  Decay decay = Decay::kConstant;

  /// Rate of `epoch`, 0-based. Linear and cosine reach 0 after the last epoch.
  double learning_rate_at(int64_t epoch) const;
};

/// Which step of which corpus to do.
struct StepRef {
  StepKind kind;
  int64_t step;  // within the epoch of that corpus
};

/// One pass over one corpus, or over two that are interleaved step by step in proportion to their sizes.
struct Segment {
  Stage stage;
  int64_t epoch;  // within the stage
  double learning_rate;
  bool validate_after;
  std::vector<std::pair<StepKind, int64_t>> streams;  // corpus, its steps in this segment

  int64_t num_steps() const;
  StepRef at(int64_t step) const;
  bool is_mixed() const { return streams.size() > 1; }
};

struct ScheduleConfig {
  StageConfig warmup, mutual, finetune;
  bool interleave = false;        // mutual pretraining: alternate whole epochs (released) or mix the steps
  bool finetune_content = true;   // a content epoch after each recommendation epoch
  bool use_content = true;        // false: LLM-CF, no C-steps at all
  int64_t validate_every = 1;     // epochs
};

/// Steps of one epoch of each corpus.
struct EpochSteps {
  int64_t collaborative = 0, content = 0, recommendation = 0;
};

/// The whole training as a list: a pure function of the configuration, so a checkpoint needs only (segment, step).
std::vector<Segment> make_schedule(const ScheduleConfig& config, const EpochSteps& steps);

}  // namespace cllm
