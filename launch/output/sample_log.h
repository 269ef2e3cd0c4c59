#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dist/communicator/communicator.h"

namespace cllm {

class AppendFile;

/// <dir>/samples.txt: a line per step, `STEP KEY KEY ...`, with the keys of its sequences on all ranks
/// (StepInput::keys, hexadecimal, ascending). A key is a hash of seed, epoch and sample, so a run that took every
/// sample once has no key twice, and the file depends neither on the number of ranks nor on how often the run was
/// resumed. For audits: it costs a gather per step.
class SampleLog {
 public:
  /// `resume_step`: lines of later steps are cut away. Nothing: a fresh run. Rank 0 writes; failures throw
  /// std::system_error with the path.
  SampleLog(Communicator& comm, const std::string& dir, std::optional<int64_t> resume_step);
  ~SampleLog();

  /// Collective.
  void add(int64_t step, const std::vector<uint64_t>& keys_of_rank);
  /// To the disk; call before a checkpoint is committed.
  void flush();

 private:
  Communicator& comm_;
  std::unique_ptr<AppendFile> file_;  // rank 0 only
};

}  // namespace cllm
