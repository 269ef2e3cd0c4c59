#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "checkpoints/train_state.h"
#include "model/tables/store.h"

namespace cllm {

/// Sums over the steps of the running segment, for its line in the log.
struct SegmentSums {
  double loss = 0;
  std::vector<std::pair<std::string, double>> terms = {};  // in the order of StepLosses::terms
  int64_t steps = 0;

  void add(double step_loss, const std::vector<std::pair<std::string, double>>& step_terms);
};

/// Where the run stands. With tables, dense tensors and their optimiser state this is all that a resumed run needs:
/// every random draw is a function of (seed, stage, epoch, sample), so there is no generator to save.
struct Cursor {
  int64_t global_step = 0;  // steps done in the whole run
  int64_t best_step = -1;   // global step of the kept best state; -1: none yet
  int best_stage = 0;       // of the program
  double best_score = 0;
  int64_t validations_since_best = 0;
  bool finished = false;    // stopped early: nothing left to train
  bool finish_due = false;  // the steps of a segment are done, its validation is not
  SegmentSums sums;
};

/// JSON of the cursor, the tables' step counters and the configuration digest; doubles round-trip exactly.
std::string to_metadata(const Cursor& cursor, const Store& store, const std::string& config_digest);
/// The inverse; also sets the step counters. Throws ConfigError if the digest differs (the run was made by another
/// configuration); an empty one is not compared. CheckpointError if it does not fit: `num_stages` of the program.
Cursor from_metadata(const std::string& metadata, const Store& store, int num_stages, const std::string& config_digest);

/// Views of what every rank holds alike: "backbone.<name>", with its moments if it is trained.
std::vector<ReplicatedTensor> view_replicas(const Store& store);

/// Views (no copies) of this rank's rows, "l_user.weight", "l_item.moment1", …, and of trained dense tensors.
TrainState view_state(const Store& store);

/// Tells sets of frozen weights apart: names, shapes, and some thousand values of each tensor as bf16, so that it is
/// the same whatever they are computed in. "": nothing is frozen.
std::string fingerprint_of_frozen(const Store& store);

}  // namespace cllm
