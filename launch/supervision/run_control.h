#pragma once

#include <functional>
#include <string>

#include "checkpoints/writer.h"
#include "launch/output/log.h"
#include "launch/supervision/step_meeting.h"
#include "launch/supervision/straggler.h"
#include "launch/supervision/supervision.h"

namespace cllm {

/// What a meeting decided, on all ranks alike.
struct Decision {
  bool stop = false;  // save and leave
  bool save = false;  // a checkpoint is due
  bool ready = true;  // every rank has the data of its next step
};

/// The meetings of the ranks before every step (launch/README.md, Long runs), and what this rank brings to them.
/// Members that meet are collective.
class RunControl {
 public:
  /// `state_bytes`: of this rank, for the guess of the first save's time.
  RunControl(Communicator& comm, Log& log, Supervision& supervision, int64_t state_bytes);

  /// What the step that was just done took and found; `waited_s` of its time went into waits for others.
  void step_done(double took_s, double waited_s, int64_t num_tokens, NonFinite non_finite);
  /// Tells the others how this rank is. `data_ready` may wait a little. Throws, on all ranks, AgreedFailure if the last
  /// step saw a value that is not finite, and what a background save failed with.
  Decision meet(int64_t step, CheckpointWriter& writer, bool save_due, const std::function<bool()>& data_ready);
  /// The same between two blocks of a validation: only whether to stop.
  bool must_stop(int64_t step, CheckpointWriter& writer);

 private:
  RankReport report(const CheckpointWriter& writer);
  bool agreed_to_stop(std::span<const RankReport> reports, int64_t step);
  void refuse_non_finite(std::span<const RankReport> reports, int64_t step);
  void name_straggler(std::span<const RankReport> reports, int64_t step);

  Communicator& comm_;
  Log& log_;
  Supervision& supervision_;
  TimeReserve reserve_;
  StragglerWatch stragglers_;
  RankWork work_;         // since the meeting after the last step
  bool stepped_ = false;  // since the last meeting
  NonFinite non_finite_ = NonFinite::kNone;
};

}  // namespace cllm
