#pragma once

#include "dist/watch/activity.h"
#include "dist/watch/failpoints.h"
#include "launch/supervision/time_limit.h"

namespace cllm {

/// What looks after a long run; made by the train command. Signals: StopSignal. It must outlive the communicators that
/// are watched.
struct Supervision {
  TimeLimit limit;
  Failpoints failpoints;
  Activity main, background;  // what this rank's threads do, for the watchdog
};

}  // namespace cllm
