#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "data/corpus/corpus.h"
#include "dist/communicator/mpi_session.h"
#include "launch/config/config.h"
#include "launch/plan/hardware.h"
#include "model/recommenders/registry.h"

namespace cllm {

/// Everything a command computes with, built from a configuration. Members are declared in the order in which they
/// depend on each other.
struct Workspace {
  RunConfig config;
  at::Device device;      // of this rank: where the model is
  Channels channels;      // those of whoever opened it
  HardwareLimits limits;  // of a GPU, or of any device of a traced run
  Corpus corpus;
  std::unique_ptr<Communicator> host;  // of the ranks of this host
  std::unique_ptr<TwoLevels> levels;   // of training steps; null: one
  std::unique_ptr<Recommender> model;
  std::string other_run = {};  // digest of the run that it asks; "": none

  const Vocabulary& vocabulary() const { return corpus.vocabulary(); }
};

/// Where and for what a workspace is opened.
struct OpenOptions {
  at::Device device = at::kCPU;  // of this rank
  std::unique_ptr<TwoLevels> levels = {};
  bool to_train = false;
  bool to_start = false;  // from init.run, for use: no rows of its own are in a checkpoint
};

/// Compute threads of this rank; 0: what OMP_NUM_THREADS says, else its share of the host's cores.
void use_threads(int64_t threads, const MpiSession& mpi);

/// Opens the corpus and the model that the configuration names. The channels outlive the workspace. Collective. Throws
/// AgreedFailure on all ranks.
std::unique_ptr<Workspace> open_workspace(const RunConfig& config, MpiSession& mpi, const Channels& channels,
                                          OpenOptions options);

/// Opens a model on the workspace's corpus, device and channels. `open_run`, `start_corpus`: as in OpenArguments.
/// Collective. Throws as Model::open.
std::unique_ptr<Recommender> open_model(
    const Workspace& workspace, const Model& model, const ModelOptions& options, bool to_train,
    std::function<std::shared_ptr<Recommender>(const std::string& folder)> open_run = {},
    std::function<std::optional<Corpus>()> start_corpus = {});

}  // namespace cllm
