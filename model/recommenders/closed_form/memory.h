#pragma once

#include <cstdint>
#include <string>

#include "model/recommenders/closed_form/closed_form.h"

namespace cllm {

/// What a model will allocate.
struct MemoryNeed {
  std::string model;          // "ease"
  int64_t items = 0;          // J
  int64_t bytes = 0;          // of this rank
  double limit_gib = 0;       // that all ranks of a host may take together; 0: available_memory()
  std::string parts, remedy;  // "2 matrices of J x J doubles on rank 0", "raise ease.memory_gib"
};

/// Throws ModelError on all ranks if the ranks of any host need more together than it has. Nothing has been allocated
/// yet. Collective. Without arguments.host all ranks are taken to share one host.
void require_memory(const OpenArguments& arguments, Communicator& comm, const MemoryNeed& need);

}  // namespace cllm
