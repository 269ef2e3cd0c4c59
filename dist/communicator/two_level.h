#pragma once

#include <memory>

#include "dist/communicator/communicator.h"

namespace cllm {

/// N nodes of L ranks each, as one rank sees them: the ranks of its node, and those with its place on all nodes (a
/// rail). Rank node * L + place of the world is rank `place` of its node and rank `node` of its rail.
struct TwoLevels {
  std::unique_ptr<Communicator> node, rail;

  int ranks_per_node() const { return node->world_size(); }
};

}  // namespace cllm
