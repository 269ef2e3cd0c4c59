#pragma once

#include <functional>

#include "dist/communicator/communicator.h"
#include "model/backbones/weights.h"

namespace cllm {

/// The weights that `read` makes, once per host: the first rank calls it and puts them into anonymous memory
/// (memfd_create), which the others map. Tensors are views of private copy-on-write mappings, so writing to one changes
/// nobody else's. A rank that may not map the first one's memory (containers of their own) calls `read` itself. `host`:
/// the ranks of one host. ModelError of the first rank on all. Collective.
Weights shared_weights(Communicator& host, const std::function<Weights()>& read);

}  // namespace cllm
