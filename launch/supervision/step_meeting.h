#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "dist/communicator/communicator.h"
#include "launch/supervision/straggler.h"
#include "model/step/non_finite.h"

namespace cllm {

/// What a rank tells all others between two steps; one all_gather carries every decision that ranks must take alike.
struct RankReport {
  int signal = 0;                             // that it got
  bool data_ready = true;                     // its next batch is there
  bool save_failed = false;                   // its background save
  NonFinite non_finite = NonFinite::kNone;    // of the last step
  RankWork work;                              // in the last step
  bool time_is_up = false, save_due = false;  // clocks differ: rank 0's word counts
};

/// All reports in rank order. Collective.
std::vector<RankReport> exchange(Communicator& comm, const RankReport& mine);

bool all_data_ready(std::span<const RankReport> reports);
bool any_save_failed(std::span<const RankReport> reports);
/// Why the run must save and stop; empty if it must not.
std::string stop_reason(std::span<const RankReport> reports);
/// The first tensor of the step, and the rank, where a value was not finite; empty if there is none.
std::string non_finite_place(std::span<const RankReport> reports);

}  // namespace cllm
