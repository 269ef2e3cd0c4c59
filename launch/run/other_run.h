#pragma once

#include <memory>
#include <string>

#include "dist/communicator/mpi_session.h"
#include "launch/run/workspace.h"

namespace cllm {

/// The best state of another run, to be asked for scores.
struct OtherRun {
  std::shared_ptr<Recommender> model;  // keeps alive all that it needs
  std::string digest;                  // of its configuration and its state, 16 hex digits
};

/// Opens the run in `dir` on the corpus and device of `workspace`, with communicators of its own. Throws AgreedFailure
/// on all ranks if it is no run, of another corpus, or of a model that gives no lists. Collective.
OtherRun open_other_run(const Workspace& workspace, MpiSession& mpi, const std::string& dir);

}  // namespace cllm
