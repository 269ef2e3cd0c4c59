#pragma once

#include "dist/communicator.h"
#include "launch/run_folder.h"
#include "launch/workspace.h"

namespace cllm {

/// Name of the checkpoint with the best validation score.
inline constexpr const char* kBestPin = "best";

/// Fills the workspace with the state that a run stands for: the best by validation, or the newest if it never validated. Tables are
/// flushed. Returns its step. CheckpointError(66) if the run has no checkpoint. Collective.
int64_t load_best(Workspace& workspace, Communicator& comm, const RunFolder& folder);

}  // namespace cllm
