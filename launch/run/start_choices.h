#pragma once

#include <string>

#include "launch/run/workspace.h"

namespace cllm {

/// Lines on what changes results and that nobody may have chosen: parts of the corpus that are missing, what lists at
/// the test may hold, times that are absent. Ends with a line end, or is empty.
std::string describe_choices(const Workspace& workspace);

/// A warning if a scheduler or mpirun gave this job several tasks, but the world is one rank; empty: none.
std::string lonely_rank(int world_size);

}  // namespace cllm
