#pragma once

#include <string>

#include "data/corpus/corpus.h"
#include "dist/communicator/communicator.h"
#include "model/recommenders/recommender.h"

namespace cllm {

/// What a run needs at its peak on the rank that needs most, by part, in bytes.
struct MemoryPlan {
  double rehearsed =
      0;  // the process after one largest step of each kind and one block of validation, before any update
  double optimizer = 0;  // moments that the updates will fill; of a trained backbone also gradients
  double snapshot = 0;   // the copy that a checkpoint is written from
  double user_rows =
      0;  // run.user_tables = "host": users' rows with their moments, which the driver holds beside the process
  double on_gpu = 0;  // of a GPU's memory, moments included, at the peak of the rehearsal; the rest is the host's

  /// Of the process, as the system counts it.
  double process() const { return rehearsed + optimizer + snapshot; }
  /// Of the host.
  double total() const { return process() + user_rows; }
};

/// What the rehearsal ranks.
struct RehearsalOptions {
  int64_t batch_users = 64;
  at::Device device = at::kCPU;
};

/// Rehearses the model's largest steps and one block of a validation, so that the peak is known before training; the
/// rest follows from sizes. Collective; the model's rows do not change, its optimiser state is fresh.
MemoryPlan rehearse(Recommender& model, const Corpus& corpus, Communicator& comm, const RehearsalOptions& options);

/// The peak that was really reached beside the plan, as one line. Collective.
std::string compare_with_peak(const MemoryPlan& plan, Communicator& comm);

}  // namespace cllm
