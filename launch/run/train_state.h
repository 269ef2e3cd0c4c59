#pragma once

#include <cstdint>
#include <string>

#include "checkpoints/train_state.h"
#include "launch/run/schedule.h"
#include "model/step/train_step.h"
#include "model/tables/dense_adam.h"

namespace cllm {

/// Sums over the steps of the running segment, for its line in the log.
struct SegmentSums {
  double loss = 0, lm = 0, mr = 0;
  int64_t steps = 0;
};

/// Where the run stands. With the tables and optimiser state this is all that a resumed run needs: every random draw is
/// a function of (seed, stage, epoch, sample), so there is no generator to save.
struct Cursor {
  int64_t global_step = 0;  // steps done in the whole run
  int64_t best_step = -1;   // global step of the kept best state; -1: none yet
  Stage best_stage = Stage::kWarmup;
  double best_score = 0;
  int64_t validations_since_best = 0;
  bool finished = false;    // stopped early: nothing left to train
  bool finish_due = false;  // the steps of a segment are done, its validation is not
  SegmentSums sums;
};

/// JSON of the cursor, the tables' step counters and the configuration digest; doubles round-trip exactly.
std::string to_metadata(const Cursor& cursor, const RecModel& model, const DenseAdam* dense,
                        const std::string& config_digest);
/// The inverse; also sets the step counters. Throws ConfigError if the digest differs (the run was made by another
/// configuration); an empty one is not compared.
Cursor from_metadata(const std::string& metadata, RecModel& model, DenseAdam* dense, const std::string& config_digest);

/// Views of what every rank holds alike: "backbone.<name>", with its moments if the backbone is trained (`dense` not
/// null).
std::vector<ReplicatedTensor> view_replicas(const RecModel& model, const DenseAdam* dense);

/// Views (no copies) of this rank's rows: "l_user.weight", "l_item.moment1", …, and, if the backbone is trained, of the
/// replicas.
TrainState view_state(RecModel& model, const DenseAdam* dense);

}  // namespace cllm
