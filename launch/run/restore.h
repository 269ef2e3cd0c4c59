#pragma once

#include <memory>
#include <string>

#include "checkpoints/checkpoint.h"
#include "dist/communicator/communicator.h"
#include "dist/communicator/mpi_session.h"
#include "launch/run/run_folder.h"
#include "launch/run/train_state.h"
#include "launch/run/workspace.h"

namespace cllm {

/// Name of the checkpoint with the best validation score.
inline constexpr const char* kBestPin = "best";

/// The state that a run stands for, and the stage of the program that it is of, by which it ranks.
struct BestState {
  int64_t step = 0;
  int stage = 0;
  std::string line = {};  // for a person, where rows came from another corpus
};

/// Fills the workspace with a checkpoint, whose configuration must have that digest ("": any). Collective.
Cursor load_state(Workspace& workspace, Communicator& comm, const CheckpointInfo& checkpoint,
                  const std::string& digest);

/// Fills the workspace with the best state by validation, or the newest if the run never validated. Tables are flushed,
/// and lists are asked as of its stage. CheckpointError(66) if the run has no checkpoint. Collective.
BestState load_best(Workspace& workspace, Communicator& comm, const RunFolder& folder);

/// The same from another run (init.run), whatever its losses and schedule were; of another corpus than this one:
/// grown_state.h. ConfigError if its optimiser differs.
BestState start_from(Workspace& workspace, Communicator& comm, const RunFolder& other);

/// The best state of another run, to be asked for scores.
struct OtherRun {
  std::shared_ptr<Recommender> model;  // keeps alive all that it needs
  std::string digest;                  // of its configuration and its state, 16 hex digits
};

/// Opens the run in `dir` on the corpus and device of `workspace`, with communicators of its own. Throws AgreedFailure
/// on all ranks if it is no run, of another corpus, or of a model that gives no lists. Collective.
OtherRun open_other_run(const Workspace& workspace, MpiSession& mpi, const std::string& dir);

}  // namespace cllm
