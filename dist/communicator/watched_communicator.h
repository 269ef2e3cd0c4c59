#pragma once

#include <memory>
#include <string>

#include "dist/communicator/communicator.h"
#include "dist/watch/activity.h"
#include "dist/watch/failpoints.h"

namespace cllm {

/// What looks at the traffic of a rank. All of it must outlive the communicators.
struct TrafficWatch {
  Activity& activity;    // of the thread that uses the communicator
  Activity& background;  // of the thread that uses its duplicates
  Failpoints& failpoints;
};

/// Passes everything on to `comm` and notes every wait, under the name that stands in its errors. Cost: two uncontended
/// locks per wait.
std::unique_ptr<Communicator> watch(std::unique_ptr<Communicator> comm, const std::string& name,
                                    const TrafficWatch& traffic);

}  // namespace cllm
