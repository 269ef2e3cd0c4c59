#pragma once

#include <exception>
#include <string>

namespace cllm {

/// What the process tells a batch system; the meanings are fixed (STYLE.md).
enum ExitCode : int {
  kDone = 0,
  kBadConfiguration = 64,
  kBadData = 65,
  kBadCheckpoint = 66,
  kInternalError = 70,
  kPeerLost = 71,
  kSaveFailed = 74,
  kInterruptedAfterSaving = 75,  // requeue me
  kNoProgress = 78,              // do not requeue
};

/// The exit code of a caught exception; `line` becomes its message as one line.
int exit_code_of(const std::exception_ptr& error, std::string& line);

}  // namespace cllm
