#pragma once

#include "launch/run/schedule.h"
#include "launch/run/workspace.h"

namespace cllm {

/// The keys of the segment's stage.
const StageSection& section_of(const RunConfig& config, Stage stage);

/// This rank's part of the global batch of a step, and its tensors on the way to where the rank computes.
struct StepInput {
  Batch batch;
  BatchTensors tensors;
};
/// That of a step of the run: a pure function of the configuration and the step.
StepInput make_input(const Workspace& workspace, const Schedule& schedule, const Communicator& comm,
                     int64_t global_step);

/// How a step of the run trains, which is of this kind and in this segment.
StepConfig step_config(const Workspace& workspace, const Segment& segment, StepKind kind, int64_t global_step);

}  // namespace cllm
