#pragma once

#include "model/recommenders/cllm4rec/options.h"
#include "model/recommenders/cllm4rec/step_kind.h"
#include "model/recommenders/program.h"

namespace cllm {

/// The stages of METHOD.md §6: content warm-up, mutual pretraining, finetuning. Tasks of the program are step kinds.
enum class Stage { kWarmup, kMutual, kFinetune };

inline Stage stage_of(const StepRef& ref) { return static_cast<Stage>(ref.stage); }
inline StepKind kind_of(const StepRef& ref) { return static_cast<StepKind>(ref.task); }

const StageOptions& options_of(const Cllm4recOptions& options, Stage stage);

/// Steps of one epoch of each kind.
struct EpochSteps {
  int64_t collaborative = 0, content = 0, recommendation = 0;
};

/// `validate_every_epochs` 0: only at the end of a stage.
Program make_program(const Cllm4recOptions& options, const EpochSteps& steps, int64_t validate_every_epochs);

}  // namespace cllm
