#pragma once

#include <memory>
#include <optional>

#include "data/corpus/corpus.h"
#include "dist/communicator/mpi_session.h"
#include "launch/config/config.h"
#include "launch/plan/hardware.h"
#include "launch/run/item_head.h"
#include "model/recommenders/cllm4rec/sampler.h"
#include "model/step/train_step.h"
#include "model/tables/dense_adam.h"

namespace cllm {

/// Everything a command computes with, built from a configuration. Members are declared in the order in which they
/// depend on each other.
struct Workspace {
  RunConfig config;
  at::Device device;      // of this rank: where the model is
  HardwareLimits limits;  // of a GPU, or of any device of a traced run
  Corpus corpus;
  DropoutRates backbone_dropout;      // of the backbone's config.json
  std::unique_ptr<TwoLevels> levels;  // of training steps, made by the train command; null: one
  RecModel model;
  Sampler sampler;
  ItemHead collaborative_head, recommendation_head;  // of L and of F steps
  std::unique_ptr<RowOptimizer> optimizer;
  std::unique_ptr<DenseAdam> backbone_optimizer;  // null: frozen backbone

  const ItemHead& item_head(StepKind kind) const {
    return kind == StepKind::kRecommendation ? recommendation_head : collaborative_head;
  }
  const Vocabulary& vocabulary() const { return corpus.vocabulary(); }
};

/// Opens the corpus and the backbone, checks that they fit together, and starts the tables (METHOD.md §4). Collective.
/// `device`: of this rank.
/// Throws AgreedFailure (on all ranks) or ModelError.
std::unique_ptr<Workspace> open_workspace(const RunConfig& config, MpiSession& mpi, Communicator& world,
                                          at::Device device);

}  // namespace cllm
